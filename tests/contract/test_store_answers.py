"""The pager's answers on a real store: durable, settled, and bought once over a crash."""

import pytest

from maestro.budget.vector import USD
from maestro.errors import ModelError, RateLimited
from maestro.ids import ContinuationId, Epoch
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import Message, ModelCallResult, ModelUsage, StopReason
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from maestro.tick.answers import JournaledAnswers
from maestro.tick.store import JournalEntry
from tests.contract.support import ALICE, BOB, World, batch_of, intent, money

MAXIMUM, ACTUAL = money(usd=3_000, tokens=2_000), money(usd=35, tokens=15)


class ScriptedModel:
    """Answers or fails as told, and counts what it was asked."""

    def __init__(self, failure: ModelError | None = None) -> None:
        self.asked = 0
        self._failure = failure

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.asked += 1
        if self._failure is not None:
            raise self._failure
        return ModelCallResult(
            content="ok",
            stop_reason=StopReason.END,
            tier=request.tier,
            step=request.step,
            provider="scripted",
            model="scripted/one",
            latency_ms=1,
            cost_usd_micros=ACTUAL[USD],
            usage=ModelUsage(executor_input_tokens=10, executor_output_tokens=5),
            charge=ACTUAL,
            call_id=request.call_id,
        )


def asking(cid: ContinuationId, entry: JournalEntry, world: World) -> ModelRequest:
    return ModelRequest(
        call_id=entry.call_id,
        cid=cid,
        ordinal=entry.ordinal,
        tenant=world.backend.tenant,
        tier=Tier.HAIKU,
        step=Step.HAIKU,
        messages=(Message(role="user", content="does it bear on the goal?"),),
        price=MAXIMUM,
    )


def desk(world: World, model: ScriptedModel) -> PagerDesk:
    return PagerDesk(model, JournaledAnswers(world.backend.journals))


async def intended(world: World) -> tuple[ContinuationId, JournalEntry]:
    cid = await world.root(money(usd=10_000, tokens=10_000))
    adopted = await world.take(ALICE)
    entry = await world.backend.store.record(cid, adopted.epoch, intent(0, MAXIMUM), batch_of(adopted))
    return cid, entry


async def test_an_answer_is_bought_once_over_a_crash_of_everybody(world: World) -> None:
    cid, entry = await intended(world)
    model = ScriptedModel()
    first = await desk(world, model).call(asking(cid, entry, world))
    await world.backend.leases.reclaim(ALICE, world.partition)
    again = await world.take(BOB)
    second = await desk(world, model).call(asking(cid, again.journal[0], world))
    assert first == second
    assert model.asked == 1
    assert (await world.ledger(cid)).free == money(usd=9_965, tokens=9_985)


async def test_a_failure_is_settled_with_what_it_cost_and_leaves_with_the_hand_back(world: World) -> None:
    cid, entry = await intended(world)
    failure = RateLimited("too many calls", charge={"usd": 7})
    with pytest.raises(RateLimited):
        await desk(world, ScriptedModel(failure)).call(asking(cid, entry, world))
    assert (await world.ledger(cid)).account("usd").spent == 7
    failed = await world.backend.journals.answer_of(cid, entry.call_id)
    assert failed is not None
    assert (failed.failed, failed.answer) == (True, {"code": "rate_limited", "message": "too many calls", "hint": None})
    await world.backend.store.release(cid, await epoch(world, cid), 0, "too many calls", counts=False)
    assert (await world.take()).journal == {}


async def test_after_a_failure_and_a_crash_the_next_intent_has_a_reservation_of_its_own(world: World) -> None:
    cid, failed = await intended(world)
    with pytest.raises(RateLimited):
        await desk(world, ScriptedModel(RateLimited("slow down"))).call(asking(cid, failed, world))
    await world.backend.leases.reclaim(ALICE, world.partition)
    adopted = await world.take(BOB)
    assert adopted.journal[0].failed
    fresh = await world.backend.store.record(cid, adopted.epoch, intent(0, MAXIMUM), batch_of(adopted))
    assert fresh.call_id != failed.call_id
    assert (await world.ledger(cid)).reservations == {fresh.call_id: MAXIMUM}
    again = await world.backend.store.record(cid, adopted.epoch, intent(0, MAXIMUM), batch_of(adopted))
    assert again.call_id == fresh.call_id, "an intent that has not failed stays"
    await desk(world, ScriptedModel()).call(asking(cid, fresh, world))
    assert (await world.ledger(cid)).account(USD).spent == ACTUAL[USD]


async def epoch(world: World, cid: ContinuationId) -> Epoch:
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    return Epoch(glance.epoch)
