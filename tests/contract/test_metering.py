"""What the feed says was spent is what the ledgers say, and what the log says the effects cost: on a recorded run."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import orjson
import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import AnswerLost, ModelError, ProviderUnavailable
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.metering import Charge, ModelCallRow, charges_of, effect_rows, human_rows, totals
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import CHARGE_TOKENS, CHARGE_USD_MICROS, Stage

GRANT = BudgetVector({"usd": 20_000_000, "tokens": 200_000, "human.approvals": 2, "human.reviews": 1})


class Thinker(Behaviour[NoState]):
    """Thinks, lets a child think, forgets a call, asks people."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("is it so?")
        tick.spawn(Reader, goal="read", budget=tick.budget.share(0.5))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        if message.subject == "ask":
            return tick.ask_approval("send it", {"to": message.body})
        try:
            await tick.think("and this?")
        except ModelError:
            return Sleep.until_woken()
        return Sleep.until_woken()


class Reader(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("what does it say?", step="haiku")
        return Finish()


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Thinker, Reader)
    yield stage
    await stage.audit()


async def metered(stage: Stage) -> list[Charge]:
    facts = [
        orjson.loads(fact.body)
        for partition in verbs.partitions(stage.at)
        for fact in await stage.backend.records.feed(partition, limit=10_000)
    ]
    return charges_of(facts)


async def balanced(stage: Stage) -> Sequence[Charge]:
    """The charges, which are what every ledger says."""
    charges = await metered(stage)
    told = totals(charges)
    for cid in await stage.all():
        spent = {name: amount for name, amount in (await stage.ledger(cid)).spent.items() if amount}
        assert told.get(cid, {}) == spent
    return charges


async def recorded(stage: Stage, cid: ContinuationId) -> list[ModelCallRow]:
    rows = [row for record in await verbs.records(stage.at, cid) for row in effect_rows(record, {}, 0)]
    return [row for row in rows if isinstance(row, ModelCallRow)]


@pytest.mark.spec("05.10")
async def test_charges_rows_and_ledgers_say_the_same_of_a_family_that_thinks(stage: Stage) -> None:
    root = await stage.start(Thinker, budget=GRANT)
    await stage.settle()
    for key in ("one", "two"):
        await verbs.send(stage.at, root, key)
        await stage.settle()
    charges = await balanced(stage)
    assert Counter(charge.outcome for charge in charges) == {"answered": 4}
    rows = [row for cid in await stage.all() for row in await recorded(stage, cid)]
    assert Counter((row.tier, row.usd_micros, row.charged_tokens) for row in rows) == {
        ("sonnet", CHARGE_USD_MICROS, CHARGE_TOKENS): 3,
        ("haiku", CHARGE_USD_MICROS, CHARGE_TOKENS): 1,
    }
    paid = {(charge.cid, charge.rev, charge.ordinal): charge.amounts["usd"] for charge in charges}
    assert paid == {(row.cid, row.rev, row.ordinal): row.usd_micros for row in rows}, "log and feed know each by place"


@pytest.mark.spec("05.10")
async def test_what_failed_was_lost_or_refunded_is_in_the_books_all_the_same(stage: Stage) -> None:
    root = await stage.start(Thinker, budget=GRANT)
    await stage.settle()
    price = BudgetVector({"usd": 100, "tokens": 3})
    stage.model.script[:] = [AnswerLost("lost", hint="planted", charge=price.model_dump()), ProviderUnavailable("no")]
    await verbs.send(stage.at, root, "lost")
    await stage.settle()
    charges = await balanced(stage)
    assert next(c.amounts for c in charges if c.outcome == "failed") == {"usd": 100, "tokens": 3}

    await verbs.send(stage.at, root, "ask", "ask")
    await stage.settle()
    charges = await balanced(stage)
    assert [(row.cid, row.resource, row.units) for row in human_rows(charges)] == [(root, "human.approvals", 1)]
