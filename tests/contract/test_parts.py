"""A large independent part of a tick's thinking: a child does it, with its share; the tick goes on with the answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.behaviours.part import Part
from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import Bounds
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control, Mail
from maestro.errors import BadRequest, ModelError
from maestro.ids import ContinuationId, partition_of
from maestro.policy.policy import Policy
from maestro.policy.question import Signals
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.whatif import redecided
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.runner import run
from tests.stage import ALICE, CHARGE_USD_MICROS, Stage

LARGE = "word " * 13_200
APART = Signals(independent=True)


class Verdict(BaseModel):
    count: int


class Heard(BaseModel):
    said: list[str] = []


class Thinker(Behaviour[Heard]):
    """Thinks large thoughts that need nothing else of their tick."""

    async def start(self, tick: Tick[Heard]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        match message.subject:
            case "two":
                both = (tick.think(q, about=LARGE, step="haiku", signals=APART) for q in ("one?", "two?"))
                tick.state.said += await asyncio.gather(*both)
            case "bravely":
                tick.state.said.append(await self.bravely(tick))
            case "by schema":
                verdict = await tick.think("how many?", schema=Verdict, about=LARGE, step="haiku", signals=APART)
                tick.state.said.append(f"{verdict.count} of them")
            case "small":
                tick.state.said.append(await tick.think("it?", step="haiku", signals=APART))
            case "ask":
                tick.state.said.append(await tick.think("it?", about=LARGE, step="haiku", signals=APART))
            case _:
                tick.state.said.append(message.subject)
        return Sleep.until_woken()

    async def on_child(self, tick: Tick[Heard], child: Mail) -> Closing | None:
        tick.state.said.append("a stray end")
        return Sleep.until_woken()

    async def bravely(self, tick: Tick[Heard]) -> str:
        try:
            return await tick.think("it?", about=LARGE, step="haiku", signals=APART)
        except ModelError as error:
            return f"{error.code}: {error.message}"


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Thinker, Part)
    yield stage
    await stage.audit()


async def told(stage: Stage, subject: str, **asked: Any) -> ContinuationId:
    """One that sleeps and has such mail."""
    cid = await stage.start(Thinker, **asked)
    await stage.settle()
    await verbs.send(stage.at, cid, None, subject=subject)
    return cid


async def kids(stage: Stage, cid: ContinuationId) -> list[ContinuationId]:
    return list((await stage.checkpoint(cid)).children)


async def decisions(stage: Stage, cid: ContinuationId) -> list[str | None]:
    return [effect.decision for record in await verbs.records(stage.at, cid) for effect in record.effects]


@pytest.mark.spec("05.3")
async def test_a_large_part_is_thought_by_a_child_and_the_tick_goes_on_with_its_answer(stage: Stage) -> None:
    stage.model.script = ["it is so"]
    cid = await told(stage, "ask")
    await stage.committed()
    (child,) = await kids(stage, cid)
    assert child in await stage.why(cid)
    assert await stage.state(cid) == {"said": []}
    lent = (await stage.ledger(child)).account("usd").granted
    assert lent is not None
    assert (await stage.ledger(cid)).account("usd").lent == lent > 0
    await stage.settle()
    assert await stage.state(cid) == {"said": ["it is so"]}
    assert stage.model.asked == 1
    assert (await stage.checkpoint(child)).status is Status.COMPLETED
    assert (await stage.ledger(child)).account("usd").spent == CHARGE_USD_MICROS
    assert await decisions(stage, cid) == ["haiku: as_asked; spawn: large_part"]
    assert await decisions(stage, child) == ["haiku: as_asked"]


async def test_the_child_is_asked_the_prompt_of_its_parent_word_for_word(stage: Stage) -> None:
    cid = await told(stage, "ask")
    await stage.settle()
    (child,) = await kids(stage, cid)
    notes = [note for of in (cid, child) for record in await verbs.records(stage.at, of) for note in record.effects]
    assert len(notes) == 2
    assert notes[0].asked == notes[1].asked is not None


async def test_two_parts_at_once_are_born_together(stage: Stage) -> None:
    cid = await told(stage, "two")
    await stage.committed()
    assert len(await kids(stage, cid)) == 2
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok", "ok"]}
    assert stage.model.asked == 2


async def test_an_answer_by_schema_comes_through_the_child(stage: Stage) -> None:
    stage.model.script = ['{"count": 3}']
    cid = await told(stage, "by schema")
    await stage.settle()
    assert await stage.state(cid) == {"said": ["3 of them"]}


async def test_other_mail_waits_and_no_behaviour_sees_the_end_of_a_part(stage: Stage) -> None:
    cid = await told(stage, "ask")
    await stage.committed()
    await verbs.send(stage.at, cid, None, subject="note")
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok", "note"]}


async def test_a_small_part_is_thought_inline(stage: Stage) -> None:
    cid = await told(stage, "small")
    await stage.settle()
    assert (await stage.state(cid), await kids(stage, cid)) == ({"said": ["ok"]}, [])
    assert await decisions(stage, cid) == ["haiku: as_asked"]


async def test_where_no_further_child_may_live_a_large_part_is_thought_inline_and_says_so(stage: Stage) -> None:
    cid = await told(stage, "two", bounds=Bounds(max_children=1))
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok", "ok"]}
    assert len(await kids(stage, cid)) == 1
    assert await decisions(stage, cid) == ["haiku: as_asked; spawn: large_part", "haiku: as_asked; inline: no_room"]


async def test_a_failure_of_the_child_is_raised_as_it_was_in_the_child(stage: Stage) -> None:
    stage.model.script = [BadRequest("no such field", hint="drop it")]
    cid = await told(stage, "bravely")
    await stage.settle()
    assert await stage.state(cid) == {"said": ["bad_request: no such field"]}
    assert stage.model.asked == 1


async def test_a_child_that_is_killed_leaves_no_answer_and_its_money_comes_back(stage: Stage) -> None:
    cid = await told(stage, "bravely")
    await stage.committed()
    (child,) = await kids(stage, cid)
    await verbs.order(stage.at, child, Control.KILL)
    await stage.settle()
    (said,) = (await stage.state(cid))["said"]
    assert said.startswith("answer_lost: ")
    account = (await stage.ledger(cid)).account("usd")
    assert (account.lent, account.spent, stage.model.asked) == (0, 0, 0)


async def test_a_tick_that_fails_over_a_lost_part_asks_another_child(stage: Stage) -> None:
    cid = await told(stage, "ask")
    await stage.committed()
    (first,) = await kids(stage, cid)
    await verbs.order(stage.at, first, Control.KILL)
    await stage.settle()
    assert await stage.state(cid) == {"said": []}
    await stage.advance(2_000)
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert len(await kids(stage, cid)) == 2


async def test_without_money_for_a_share_it_waits_for_a_grant_and_begets_nobody(stage: Stage) -> None:
    cid = await told(stage, "ask", budget=BudgetVector({"usd": 60_000}))
    await stage.settle()
    assert (await stage.checkpoint(cid)).wait is not None
    assert "waiting on budget" in await stage.why(cid)
    assert await kids(stage, cid) == []
    await verbs.rebudget(stage.at, cid, BudgetVector({"usd": 2_000_000}), BudgetVector({}))
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert len(await kids(stage, cid)) == 1


async def test_one_that_dies_before_its_commit_begets_the_same_child(stage: Stage) -> None:
    cid = await told(stage, "ask")
    adopted = await stage.taken()
    await run(adopted, stage.around)  # and dies
    (intent,) = await stage.backend.journals.entries(cid)
    await stage.backend.leases.reclaim(ALICE, partition_of(cid))
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    (child,) = await kids(stage, cid)
    assert isinstance(intent.question, dict)
    assert intent.question["child"] == child
    assert stage.model.asked == 1


async def test_killing_the_parent_ends_the_part(stage: Stage) -> None:
    cid = await told(stage, "ask")
    await stage.committed()
    (child,) = await kids(stage, cid)
    await verbs.order(stage.at, cid, Control.KILL)
    await stage.settle()
    assert (await stage.checkpoint(child)).terminal


async def test_what_was_decided_on_is_recorded_so_that_another_policy_decides_on_the_same(stage: Stage) -> None:
    cid = await told(stage, "ask")
    await stage.settle()
    (same,) = await redecided(stage.at, cid, Policy(advisor_enabled=False))
    assert same.agrees
    policy = Policy.model_validate({"advisor_enabled": False, "schedule": {"spawn_from_tokens": 10_000_000}})
    (otherwise,) = await redecided(stage.at, cid, policy)
    assert otherwise.agrees
    assert otherwise.told == "haiku: as_asked"
