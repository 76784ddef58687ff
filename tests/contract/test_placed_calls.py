"""Calls that nobody waits for with a process: the tick is left off, the answer wakes it, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Control, Mail
from maestro.errors import BadRequest, ModelError, ProviderUnavailable, StoreUnavailable
from maestro.ids import ContinuationId, partition_of
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.dispatching import Dispatcher, told
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.placing import Patience
from maestro.tick.runner import run
from tests.stage import ALICE, CHARGE_USD_MICROS, Stage

PATIENCE = Patience()


class Heard(BaseModel):
    said: list[str] = []


class Asker(Behaviour[Heard]):
    """Asks asynchronously and says what it heard."""

    async def start(self, tick: Tick[Heard]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        match message.subject:
            case "ask":
                tick.state.said.append(await tick.think(str(message.body), step="haiku", mode="async"))
            case "ask twice":
                first, second = (tick.think(text, step="haiku", mode="async") for text in ("one", "two"))
                tick.state.said += await asyncio.gather(first, second)
            case "batch":
                tick.state.said.append(await tick.think(str(message.body), step="haiku", mode="batch"))
            case "ask bravely":
                tick.state.said.append(await self.bravely(tick, str(message.body)))
            case "end":
                return Finish(result=list(tick.state.said))
            case _:
                tick.state.said.append(message.subject)
        return Sleep.until_woken()

    async def on_result(self, tick: Tick[Heard], result: Mail) -> Closing | None:
        tick.state.said.append(f"a stray {result.subject}")
        return None

    async def bravely(self, tick: Tick[Heard], text: str) -> str:
        try:
            return await tick.think(text, step="haiku", mode="async")
        except ModelError as error:
            return f"{error.code}: {error.message}"


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Asker)
    yield stage
    await stage.audit()


async def asleep(stage: Stage) -> ContinuationId:
    cid = await stage.start(Asker)
    await stage.settle()
    return cid


async def send(stage: Stage, cid: ContinuationId, subject: str, body: Any = "why?") -> None:
    await verbs.send(stage.at, cid, body, subject=subject)


async def left_off(stage: Stage, subject: str = "ask") -> ContinuationId:
    """One that sleeps in the midst of a tick, its call placed."""
    cid = await asleep(stage)
    await send(stage, cid, subject)
    await stage.committed()
    return cid


async def spent(stage: Stage, cid: ContinuationId) -> int:
    return (await stage.ledger(cid)).account("usd").spent


@pytest.mark.spec("05.3")
async def test_while_the_provider_works_nobody_is_awake_and_the_answer_wakes(stage: Stage) -> None:
    cid = await left_off(stage)
    assert await stage.adopt() is None
    assert (await stage.ledger(cid)).account("usd").reserved > 0
    why = await stage.why(cid)
    assert "waiting on a model call (haiku, async)" in why
    assert "since" in why
    assert "until" in why
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert stage.model.asked == 1
    assert await spent(stage, cid) == CHARGE_USD_MICROS
    assert (await stage.ledger(cid)).account("usd").reserved == 0


async def test_the_decision_is_logged_with_the_rule_of_its_mode(stage: Stage) -> None:
    cid = await left_off(stage)
    await stage.settle()
    effects = [effect for record in await verbs.records(stage.at, cid) for effect in record.effects]
    assert [effect.decision for effect in effects] == ["haiku: as_asked; async: as_wished"]


async def test_other_mail_waits_and_comes_after_the_answer(stage: Stage) -> None:
    cid = await left_off(stage)
    await send(stage, cid, "note")
    assert await stage.adopt() is None
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok", "note"]}


@pytest.mark.shows("6.6")
async def test_two_at_once_are_both_placed_before_the_tick_is_left_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = stage.backend.store.record

    async def slow_second(*entry: Any) -> Any:
        await asyncio.sleep(0.05 * entry[2].ordinal)
        return await record(*entry)

    monkeypatch.setattr(stage.backend.store, "record", slow_second)
    cid = await left_off(stage, "ask twice")
    assert len((await stage.ledger(cid)).reservations) == 2
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok", "ok"]}
    assert await spent(stage, cid) == 2 * CHARGE_USD_MICROS


async def test_batched_calls_leave_together_when_their_window_ends(stage: Stage) -> None:
    cids = [await left_off(stage, "batch") for _ in range(3)]
    await stage.settle()
    assert stage.model.asked == 0
    await stage.advance(PATIENCE.batch_window_ms)
    await stage.settle()
    assert stage.model.asked == 3
    assert [await stage.state(cid) for cid in cids] == [{"said": ["ok"]}] * 3


# ------------------------------------------------------------ failures


async def test_a_failure_is_told_to_the_behaviour_once_and_not_asked_again(stage: Stage) -> None:
    stage.model.script = [BadRequest("no such field", hint="drop it")]
    cid = await left_off(stage, "ask bravely")
    await stage.settle()
    assert await stage.state(cid) == {"said": ["bad_request: no such field"]}
    assert (stage.model.asked, await spent(stage, cid)) == (1, 0)


async def test_a_provider_that_is_away_is_asked_again_when_it_says(stage: Stage) -> None:
    stage.model.script = [ProviderUnavailable("503", retry_after_ms=40_000)]
    cid = await left_off(stage)
    await stage.settle()
    assert stage.model.asked == 1
    await stage.advance(39_000)
    await stage.settle()
    assert stage.model.asked == 1
    await stage.advance(2_000)
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert (stage.model.asked, await spent(stage, cid)) == (2, CHARGE_USD_MICROS)


@pytest.mark.spec("05.12")
async def test_an_answer_that_never_comes_is_charged_in_full_and_wakes(stage: Stage) -> None:
    cid = await left_off(stage, "ask bravely")
    price = (await stage.ledger(cid)).account("usd").reserved
    stage.dispatcher = Deaf(stage.backend, stage.call)
    await stage.advance(PATIENCE.async_ms + 10_000)
    await stage.settle()
    (said,) = (await stage.state(cid))["said"]
    assert said.startswith("answer_lost: ")
    assert await spent(stage, cid) == price > 0


async def test_what_a_lost_answer_cost_is_refunded_when_the_provider_tells(stage: Stage) -> None:
    cid = await left_off(stage, "ask bravely")
    (call,) = (await stage.backend.placements.take(partition_of(cid), 1)).calls
    await stage.advance(PATIENCE.async_ms + 10_000)
    await stage.settle()
    entry = ModelRequest.model_validate_json(call.request)
    answers = JournaledAnswers(stage.backend.journals)
    await answers.answered(entry, await stage.model(entry))
    assert await spent(stage, cid) == CHARGE_USD_MICROS


async def test_a_tick_that_fails_over_a_lost_answer_asks_again_under_the_same_reservation(stage: Stage) -> None:
    cid = await left_off(stage)
    (first,) = (await stage.ledger(cid)).reservations
    dispatcher, stage.dispatcher = stage.dispatcher, Deaf(stage.backend, stage.call)
    await stage.advance(PATIENCE.async_ms + 10_000)
    await stage.timekeeper.step()
    await stage.handed_back()
    await stage.advance(2_000)
    await stage.timekeeper.step()
    await stage.committed()
    assert set((await stage.ledger(cid)).reservations) == {first}
    stage.dispatcher = dispatcher
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert (stage.model.asked, await spent(stage, cid)) == (1, CHARGE_USD_MICROS)


class Deaf(Dispatcher):
    """A pager that is not there."""

    async def step(self) -> int:
        return self.idle_ms


# ------------------------------------------------------------ whoever dies


@pytest.mark.spec("05.12")
async def test_the_actor_dies_between_placing_and_sleeping_and_the_call_is_made_once(stage: Stage) -> None:
    cid = await asleep(stage)
    await send(stage, cid, "ask")
    adopted = await stage.taken()
    await run(adopted, stage.around)  # and dies before its commit
    await stage.dispatcher.step()
    await stage.dispatcher.drain()
    await stage.backend.leases.reclaim(ALICE, partition_of(cid))
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert (stage.model.asked, await spent(stage, cid)) == (1, CHARGE_USD_MICROS)


@pytest.mark.spec("05.12")
@pytest.mark.parametrize("place", ["taken", "asked", "journaled", "told"])
async def test_the_pager_dies_anywhere_and_the_next_one_tells_the_answer_once(stage: Stage, place: str) -> None:
    cid = await left_off(stage)
    dying = dying_at(place, stage)
    await dying.step()
    await dying.drain()
    assert (await stage.checkpoint(cid)).wait is not None
    stage.dispatcher = Dispatcher(stage.backend, PagerDesk(stage.model, JournaledAnswers(stage.backend.journals)).call)
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert await spent(stage, cid) == CHARGE_USD_MICROS
    assert stage.model.asked == (2 if place == "asked" else 1)
    assert (await stage.backend.placements.take(partition_of(cid), 10, inherit=True)).calls == ()


def dying_at(place: str, stage: Stage) -> Dispatcher:
    """A dispatcher whose process ends at that point of its first call."""

    async def ask(request: ModelRequest) -> ModelCallResult:
        if place == "taken":
            raise asyncio.CancelledError
        if place == "asked":
            await stage.model(request)
            raise asyncio.CancelledError
        return await stage.call(request)

    dispatcher = Dispatcher(stage.backend, ask)
    if place in ("journaled", "told"):
        dispatcher.backend = Ending(stage.backend, deliver=place == "journaled")  # type: ignore[assignment]
    return dispatcher


class Ending:
    """A store that a process reaches until it ends: before it tells, or after."""

    def __init__(self, backend: Backend, deliver: bool) -> None:
        self._backend = backend
        self._before_telling = deliver
        self.store, self.placements = self, self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def take(self, *asked: Any) -> Any:
        return await self._backend.placements.take(*asked)

    async def deliver(self, *told: Any) -> Any:
        if self._before_telling:
            raise asyncio.CancelledError
        return await self._backend.store.deliver(*told)

    async def done(self, placed: Any) -> None:
        raise asyncio.CancelledError


async def test_a_store_that_is_away_in_between_delays_the_answer_and_buys_nothing_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.runtime.dispatching.AWAY_S", 0.001)
    cid = await left_off(stage)
    failing = iter([StoreUnavailable("away"), StoreUnavailable("away")])
    answer = stage.dispatcher.ask

    async def ask(request: ModelRequest) -> object:
        told = await answer(request)
        if (away := next(failing, None)) is not None:
            raise away
        return told

    stage.dispatcher.ask = ask
    await stage.settle()
    assert await stage.state(cid) == {"said": ["ok"]}
    assert (stage.model.asked, await spent(stage, cid)) == (1, CHARGE_USD_MICROS)


async def test_one_that_is_killed_meanwhile_hears_nothing_and_its_charge_is_corrected(stage: Stage) -> None:
    cid = await left_off(stage)
    await verbs.order(stage.at, cid, Control.KILL)
    await stage.settle()
    assert (await stage.checkpoint(cid)).terminal
    assert stage.model.asked <= 1
    assert (await stage.ledger(cid)).account("usd").reserved == 0
    assert (await stage.backend.placements.take(partition_of(cid), 10, inherit=True)).calls == ()


async def test_an_answer_that_nobody_waits_for_any_more_is_not_heard(stage: Stage) -> None:
    cid = await left_off(stage, "ask bravely")
    (call,) = (await stage.backend.placements.take(partition_of(cid), 1)).calls
    stage.dispatcher = Deaf(stage.backend, stage.call)
    await stage.advance(PATIENCE.async_ms + 10_000)
    await stage.settle()
    said = await stage.state(cid)
    await stage.backend.store.deliver(cid, told(call, await stage.backend.clock.now_ms()))
    await stage.settle()
    assert await stage.state(cid) == said
