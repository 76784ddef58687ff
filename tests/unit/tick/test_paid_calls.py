"""Calls of a tick: reserved before they start, paid for once however often the tick is tried, and waited for."""

import asyncio
from typing import Any

import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing
from maestro.continuation.wait import BudgetGrant, StreamEvent
from maestro.errors import AuthRefused, ProvidersExhausted, ProviderUnavailable, RateLimited
from maestro.ids import Partition
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.runner import PROVIDER_RETRY_MS, run
from tests.stage import BOB, CHARGE_USD_MICROS, Stage
from tests.unit.tick.thinkers import RAN, RICH, Seen, Thinker, _nothing_ran, retried

__all__ = ["_nothing_ran"]

ONE_CALL = RICH + BudgetVector({"cheap_model_calls": 1})


class Stubborn(Behaviour[Seen]):
    """Two thoughts on the cheapest step, from which nothing leads down."""

    async def start(self, tick: Tick[Seen]) -> Closing | None:
        for question in ("first", "second"):
            tick.state.answers.append(await tick.think(question, step="haiku"))
        return None


@pytest.fixture
def staged(stage: Stage) -> Stage:
    stage.around = stage.surroundings(Thinker)
    return stage


async def test_a_repeated_tick_is_answered_from_the_journal(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    await run(await staged.taken(BOB), staged.around)  # and its process dies before the commit
    assert staged.model.asked == 2
    await staged.backend.leases.reclaim(BOB, Partition(0))
    await staged.committed()
    assert (staged.model.asked, RAN) == (2, ["start", "start"])
    assert await staged.state(cid) == {"answers": ["ok", "ok"]}


async def test_a_repeated_tick_sees_the_mail_of_its_first_try_and_the_rest_afterwards(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    await staged.settle()
    await verbs.send(staged.at, cid, "one")
    await run(await staged.taken(BOB), staged.around)
    await verbs.send(staged.at, cid, "two")
    await staged.backend.leases.reclaim(BOB, Partition(0))
    commit = await staged.committed()
    assert commit.mail_taken == (0,)
    await staged.committed()
    assert (await staged.state(cid))["answers"] == ["ok"] * 4
    assert staged.model.asked == 4


async def test_a_call_under_way_when_its_actor_died_is_waited_for_not_asked_again(staged: Stage) -> None:
    gate, under_way = asyncio.Event(), asyncio.Event()
    model = staged.model

    async def slow(request: Any) -> Any:
        under_way.set()
        answer = await model(request)
        await gate.wait()
        return answer

    staged.desk._answering = slow
    await staged.start(Thinker)
    first = asyncio.create_task(run(await staged.taken(BOB), staged.around))
    await under_way.wait()
    first.cancel()
    await asyncio.wait([first])
    await staged.backend.leases.reclaim(BOB, Partition(0))
    second = asyncio.create_task(staged.committed())
    await asyncio.sleep(0)
    gate.set()
    await second
    assert staged.model.asked == 2, "the first question once, the second once"


async def test_a_call_starts_only_after_its_worst_price_is_reserved(staged: Stage) -> None:
    reserved: list[int] = []
    model = staged.model

    async def watching(request: Any) -> Any:
        reserved.append((await staged.ledger(request.cid)).account("usd").reserved)
        assert reserved[-1] >= request.price["usd"] > CHARGE_USD_MICROS
        return await model(request)

    staged.desk._answering = watching
    await staged.start(Thinker, budget=RICH)
    await staged.committed()
    assert len(reserved) == 2


async def test_out_of_budget_it_waits_for_money_and_resumes_with_its_mail_without_paying_again(staged: Stage) -> None:
    staged.around = staged.surroundings(Stubborn)
    cid = await staged.start(Stubborn, budget=ONE_CALL)
    commit = await staged.committed()
    waiting = await staged.checkpoint(cid)
    assert (type(waiting.wait), commit.mail_taken, waiting.state) == (BudgetGrant, (), None)
    assert await staged.why(cid) == (
        "waiting on budget: 1 cheap_model_calls asked, 0 free; 1 unread that do not wake it"
    )
    assert staged.model.asked == 1
    await verbs.rebudget(staged.at, cid, BudgetVector({"cheap_model_calls": 1}), BudgetVector({}))
    await staged.committed()
    assert (staged.model.asked, await staged.state(cid)) == (2, {"answers": ["ok", "ok"]})
    assert (await verbs.glance_of(staged.at, cid)).unread == 0
    assert (await staged.ledger(cid)).account("usd").spent == 2 * CHARGE_USD_MICROS


async def test_the_kernel_sees_what_the_tick_itself_has_spent(staged: Stage) -> None:
    budget = RICH + BudgetVector({"expensive_model_calls": 1})
    cid = await staged.start(Thinker, budget=budget)
    await staged.committed()
    effects = (await verbs.records(staged.at, cid))[-1].effects
    assert [str(effect.decision).partition(":")[0] for effect in effects] == ["sonnet", "haiku"]


class DeadPager:
    """Dies with every call: nobody was asked, nothing is journaled."""

    async def call(self, request: Any) -> Any:
        raise ProviderUnavailable("the pager died")


async def test_an_intended_call_is_not_decided_again_and_its_own_reservation_does_not_count_against_it(
    staged: Stage,
) -> None:
    staged.around = staged.surroundings(Stubborn)
    cid = await staged.start(Stubborn, budget=ONE_CALL)
    staged.pager = DeadPager()
    back = await staged.handed_back()
    assert (back.counts, (await staged.ledger(cid)).account("cheap_model_calls").free) == (False, 0)
    staged.pager = staged.desk
    await retried(staged, back.retry_in_ms)
    await staged.committed()
    assert staged.model.asked == 1, "the first thought was asked on its reservation; only the second lacks money"


async def test_after_a_grant_it_waits_for_what_it_waited_for_before(staged: Stage) -> None:
    cid = await staged.start(Thinker, budget=BudgetVector({"usd": 1_000_000}))
    await staged.committed()
    ledger = await staged.ledger(cid)
    assert ledger.account("usd").free is not None
    await verbs.rebudget(staged.at, cid, BudgetVector({}), BudgetVector({"usd": ledger.account("usd").free or 0}))
    await verbs.send(staged.at, cid, "a question that cannot be paid")
    await staged.committed()
    assert (await staged.checkpoint(cid)).wait == BudgetGrant(
        resource="usd", asked=_asked(await staged.checkpoint(cid)), free=0, then=StreamEvent()
    )
    await verbs.rebudget(staged.at, cid, RICH, BudgetVector({}))
    await staged.committed()
    assert (await staged.checkpoint(cid)).wait == StreamEvent(), "not money, which nobody would grant again"
    assert (await staged.state(cid))["answers"] == ["ok"] * 3


def _asked(checkpoint: Any) -> int:
    return int(checkpoint.wait.asked)


async def test_when_the_whole_chain_is_out_it_tries_again_without_counting(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    staged.model.script = [ProvidersExhausted("all out"), RateLimited("slow down", retry_after_ms=7_000)]
    back = await staged.handed_back()
    assert (back.retry_in_ms, back.counts) == (PROVIDER_RETRY_MS, False)
    await retried(staged, PROVIDER_RETRY_MS)
    assert (await staged.handed_back()).retry_in_ms == 7_000, "as long as the provider asked for"
    await retried(staged, 7_000)
    adopted = await staged.taken()
    assert adopted.tries == 1
    await staged.write(adopted, await run(adopted, staged.around))
    assert await staged.state(cid) == {"answers": ["ok", "ok"]}


async def test_after_a_failed_call_and_a_crash_the_next_call_is_reserved_and_charged(staged: Stage) -> None:
    cid = await staged.start(Thinker, budget=RICH)
    staged.model.script = [AuthRefused("no key")]
    await run(await staged.taken(BOB), staged.around)  # the failure is journaled; then the process dies
    await staged.backend.leases.reclaim(BOB, Partition(0))
    await staged.committed()
    assert staged.model.asked == 3
    assert (await staged.ledger(cid)).account("usd").spent == sum(staged.model.answered.values()) * CHARGE_USD_MICROS
