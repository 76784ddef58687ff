"""Mail from end to end: a storm is one tick with a digest, a sender's words keep their order, a kill waits for nobody.

On memory with its virtual clock, and on a real Redis under the real loops.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.redis.backend import open_backend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Control, Mail
from maestro.errors import InvalidInput, StoreRefused
from maestro.ids import ContinuationId, TenantId, home_partition, new_token
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.relay import Relay
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.store import Delivered
from tests.chaos.redis_server import OwnRedis
from tests.integration.runtime_support import Runtime
from tests.stage import CountingModel, Stage

EVENTS, SLEEPERS = 1_000, 100
SECOND_MS, HOUR_MS = 1_000, 3_600_000
PATIENCE_S = 90.0


class Heard(BaseModel):
    ticks: int = 0
    keys: list[str] = []
    totals: list[int] = []
    subjects: dict[str, int] = {}


class Patient(Behaviour[Heard]):
    """Collects events for as long as its input says, sees each batch as one, and tells what its digest says."""

    pool = "default"

    async def run(self, tick: Tick[Heard]) -> Closing | None:
        if tick.trigger is not None and tick.trigger.kind == "start":
            tick.subscribe("storm.>", coalesce_ms=int(str(tick.about.input)))
            return Sleep.until_woken()
        digest = tick.digest
        tick.state.ticks += 1
        tick.state.keys += [str(mail.body["key"]) for mail in tick.inbox if isinstance(mail.body, dict)]
        tick.state.totals.append(digest.total)
        for subject, count in digest.by_subject.items():
            tick.state.subjects[subject] = tick.state.subjects.get(subject, 0) + count
        await tick.think("what happened?")
        return Sleep.until_woken()


class Child(Behaviour[NoState]):
    """Writes to its parent in two ticks, and ends with the second."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        tick.send(str(tick.about.parent), "first")
        tick.set_timer("on", tick.now_ms + SECOND_MS)
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[NoState], timer_id: str) -> Closing | None:
        tick.send(str(tick.about.parent), "second")
        tick.send(str(tick.about.parent), "third")
        return Finish(result="the end")


class Diary(BaseModel):
    words: list[JsonValue] = []


class Diarist(Behaviour[Diary]):
    async def on_message(self, tick: Tick[Diary], message: Mail) -> Closing | None:
        tick.state.words.append(message.body)
        return None


class Parent(Diarist):
    async def start(self, tick: Tick[Diary]) -> Closing | None:
        tick.spawn(Child, goal="write home", budget=tick.budget.share(0.1))
        return Sleep.until_woken()

    async def on_child(self, tick: Tick[Diary], child: Mail) -> Closing | None:
        tick.state.words.append("ended")
        return None


class Echo(Behaviour[NoState]):
    """Answers whoever writes to it."""

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        to = message.body if message.sender == verbs.PERSON else message.sender
        tick.send(str(to), "and you?")
        return None


class Writer(Behaviour[NoState]):
    """Sends what it is told to whom it is told."""

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        assert isinstance(message.body, list)
        for letter in message.body:
            assert isinstance(letter, list)
            tick.send(str(letter[0]), letter[1])
        return None


class Deaf(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Wait.result("never-told")


BEHAVIOURS: tuple[type[Behaviour[Any]], ...] = (Patient, Child, Diarist, Parent, Echo, Writer, Deaf)


class Listening(CountingModel):
    """A model that keeps what it was asked."""

    prompts: list[str]

    async def __call__(self, request: ModelRequest) -> Any:
        self.prompts = [*getattr(self, "prompts", []), request.messages[-1].content]
        return await super().__call__(request)


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    redis = OwnRedis()
    yield redis
    redis.close()


@pytest.fixture(params=["memory", "redis"])
async def stage(request: pytest.FixtureRequest, redis: OwnRedis) -> AsyncIterator[Stage]:
    """A store of two partitions on a virtual clock; audited after the test."""
    if request.param == "memory":
        backend: Any = MemoryBackend(2, ManualClock())
    else:
        backend = await open_backend(redis.url, TenantId(new_token("tenant")), partitions=2, virtual=True)
    stage = Stage(backend, *BEHAVIOURS, model=Listening())
    yield stage
    await stage.audit()
    await backend.close()


def _heard_everything(heard: list[dict[str, Any]], published: set[str]) -> None:
    for state in heard:
        assert state["ticks"] == 1, "one tick for all of them"
        assert state["totals"] == [EVENTS]
        assert set(state["keys"]) == published
        assert len(state["keys"]) == EVENTS, "none came twice"
        assert state["subjects"] == {f"storm.{n}": EVENTS // 10 for n in range(10)}


@pytest.mark.shows("3.7")
async def test_a_thousand_events_in_one_second_to_a_hundred_sleepers_are_a_hundred_ticks() -> None:
    clock = ManualClock()
    stage = Stage(MemoryBackend(1, clock), *BEHAVIOURS, model=Listening())
    cids = [await stage.start(Patient, input=SECOND_MS) for _ in range(SLEEPERS)]
    await stage.settle()
    before = await stage.total("committed")
    for n in range(EVENTS):
        assert await stage.publish(f"storm.{n % 10}", f"event-{n}") == SLEEPERS
        assert await stage.total("committed") == before, "nobody wakes while they come"
        clock.advance(1)
    await stage.settle()
    assert await stage.total("committed") - before == SLEEPERS
    _heard_everything([await stage.state(cid) for cid in cids], {f"event-{n}" for n in range(EVENTS)})
    prompts = stage.model.prompts  # type: ignore[attr-defined]
    assert len(prompts) == SLEEPERS
    for prompt in prompts:
        assert f"Mail of this tick ({EVENTS}):" in prompt
        assert "kinds: event 1000" in prompt
    await stage.audit()


@pytest.mark.shows("3.7")
@pytest.mark.timeout(180)
async def test_a_storm_on_redis_under_the_real_loops_is_a_hundred_ticks(redis: OwnRedis) -> None:
    backend = await open_backend(redis.url, TenantId(new_token("tenant")), partitions=1, virtual=True)
    stage = Stage(backend, *BEHAVIOURS)
    async with Runtime(stage, Patient, slots=8) as runtime:
        cids = [await stage.start(Patient, input=HOUR_MS) for _ in range(SLEEPERS)]
        await _until(runtime, "committed", SLEEPERS)
        for start in range(0, EVENTS, 50):
            await asyncio.gather(*(stage.publish(f"storm.{n % 10}", f"event-{n}") for n in range(start, start + 50)))
        assert await stage.total("matched") == EVENTS * SLEEPERS
        assert await stage.total("committed") == SLEEPERS, "nobody wakes while they come"
        await stage.advance(HOUR_MS)
        await _until(runtime, "committed", 2 * SLEEPERS)
        await runtime.until_quiet()
        assert await stage.total("committed") == 2 * SLEEPERS
        _heard_everything([await stage.state(cid) for cid in cids], {f"event-{n}" for n in range(EVENTS)})
    await backend.close()


async def test_without_a_window_ticks_are_as_many_as_they_come_and_no_event_is_in_two(stage: Stage) -> None:
    async with Runtime(stage, *BEHAVIOURS) as runtime:
        cid = await stage.start(Patient, input=0)
        await runtime.until_quiet()
        for n in range(60):
            await stage.publish("storm.a", f"event-{n}")
        await runtime.until_state(cid, subjects={"storm.a": 60})
        state = await stage.state(cid)
        assert sorted(state["keys"]) == sorted(f"event-{n}" for n in range(60))
        assert 1 <= state["ticks"] <= 60
        assert sum(state["totals"]) == 60


async def test_what_a_child_wrote_is_read_before_its_end(stage: Stage) -> None:
    cid = await stage.start(Parent)
    await stage.committed()  # the parent begets
    await stage.committed()  # the child writes
    await stage.backend.steering.freeze(cid, True)
    await stage.advance(2 * SECOND_MS)
    await stage.settle()  # the child writes again, and ends; no relay carries its words
    await stage.backend.steering.freeze(cid, False)
    await stage.settle()
    assert (await stage.state(cid))["words"] == ["first", "second", "third", "ended"]


async def test_two_who_answer_each_other_for_ever_are_held_with_the_reason(stage: Stage) -> None:
    one, other = await stage.start(Echo), await stage.start(Echo)
    await stage.settle()
    await verbs.send(stage.at, one, other)
    for _ in range(8):
        await stage.settle()
        await stage.advance(20 * SECOND_MS)
    held = [c for c in (await stage.checkpoint(one), await stage.checkpoint(other)) if c.hold is not None]
    assert [c.hold for c in held] == [Hold.QUARANTINED]
    assert "look for a loop" in str(held[0].hold_detail) or "in a row" in str(held[0].hold_detail)


async def test_a_kill_behind_ten_thousand_mails_acts_at_once(stage: Stage) -> None:
    cid = await stage.start(Deaf)
    await stage.settle()
    for start in range(0, 10_000, 500):
        await asyncio.gather(*(verbs.send(stage.at, cid, n) for n in range(start, start + 500)))
    assert not await stage.total("ready:default")
    await verbs.order(stage.at, cid, Control.KILL)
    await stage.committed()
    assert (await stage.checkpoint(cid)).status is Status.CANCELLED
    assert await stage.total("mail_ended") == 10_000
    assert 0 < await stage.total("dead_letters") <= 10_000


async def test_what_a_person_sends_may_supersede_and_expire(stage: Stage) -> None:
    cid = await stage.start(Diarist)
    await stage.committed()
    await verbs.send(stage.at, cid, "old", supersedes="word")
    await verbs.send(stage.at, cid, "soon over", expires_in_ms=SECOND_MS)
    await verbs.send(stage.at, cid, "new", supersedes="word")
    await stage.advance(2 * SECOND_MS)
    await stage.settle()
    assert (await stage.state(cid))["words"] == ["new"]
    for wrong in ({"supersedes": "a word"}, {"expires_in_ms": 0}, {"expires_in_ms": 10**18}):
        with pytest.raises(InvalidInput):
            await verbs.send(stage.at, cid, "x", **wrong)


class Refusing:
    """A store that refuses one delivery, once."""

    def __init__(self, store: Any, word: str) -> None:
        self._store, self._word = store, word

    async def deliver(self, to: ContinuationId, mail: Mail) -> Delivered:
        if mail.body == self._word:
            self._word = ""
            raise StoreRefused("no memory just now")
        return await self._store.deliver(to, mail)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_row_that_the_store_refuses_is_not_overtaken_by_what_its_sender_wrote_later(stage: Stage) -> None:
    near, far = await _living_in(stage, 0, Writer), await _living_in(stage, 1, Diarist)
    other = await _living_in(stage, 1, Diarist)
    await stage.settle()
    words: JsonValue = [[far, "one"], [far, "two"], [other, "aside"], [far, "three"]]
    await verbs.send(stage.at, near, words)
    await stage.committed()
    refusing: Any = Refusing(stage.backend.store, "two")
    parts = {field.name: getattr(stage.backend, field.name) for field in fields(Backend)}
    relay = Relay(Backend(**{**parts, "store": refusing}))
    with pytest.raises(StoreRefused):
        await relay.step()
    await stage.committed()
    await stage.committed()
    assert [(await stage.state(cid))["words"] for cid in (far, other)] == [["one"], ["aside"]]
    await relay.step()
    await stage.settle()
    assert (await stage.state(far))["words"] == ["one", "two", "three"]
    assert await stage.total("outbox") == 0


async def _living_in(stage: Stage, partition: int, behaviour: type[Behaviour[Any]]) -> ContinuationId:
    """One whose home is there: a name decides it."""
    names = (new_token("name") for _ in range(1_000))
    name = next(name for name in names if home_partition(name, stage.backend.partitions) == partition)
    return await stage.start(behaviour, name=name)


async def _until(runtime: Runtime, count: str, number: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await runtime.stage.total(count) < number:
            runtime.check_alive()
            await asyncio.sleep(0.05)
