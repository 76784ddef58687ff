"""A sleeper moves to another store, while the world goes on writing to it: nothing lost, nothing twice, no way back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.envelope import Seal
from maestro.continuation.mail import Kind, Mail
from maestro.errors import (
    Conflict,
    ContinuationMovedError,
    ContinuationNotFoundError,
    IntegrityError,
    InvalidInput,
)
from maestro.ids import ContinuationId, MailId, Partition, TenantId
from maestro.mesh.event import Event
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.freight import bring_in, export
from maestro.runtime.verification import verified
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.chaos.redis_server import OwnRedis
from tests.integration.runtime_support import Runtime
from tests.stage import SEAL, Stage

TENANT = TenantId("default")
STORM = 120  # messages, and as many events
MOVE_AT = 40  # when so many were sent
DAYS_21_MS = 21 * 24 * 3_600_000


class Heard(BaseModel):
    letters: list[int] = []
    events: list[str] = []
    alarms: int = 0


class Listener(Behaviour[Heard]):
    """Writes down what it hears, and thinks about every tenth letter."""

    name = "listener"
    version = 1

    async def start(self, tick: Tick[Heard]) -> Closing:
        tick.subscribe("storm.>")
        tick.set_timer("alarm", tick.now_ms + DAYS_21_MS)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing:
        number = int(str(message.body))
        tick.state.letters.append(number)
        if number % 10 == 0:
            await tick.think("What was that?", step="haiku")
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Heard], event: Event) -> Closing:
        tick.state.events.append(event.key)
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[Heard], timer_id: str) -> Closing:
        tick.state.alarms += 1
        return Sleep.until_woken()


@pytest.fixture
async def stores() -> AsyncIterator[tuple[Stage, Stage]]:
    """Two Redis servers, and everything that runs on each."""
    servers = [OwnRedis(), OwnRedis()]
    stages: list[Stage] = []
    try:
        for server in servers:
            backend = await open_backend(server.url, TENANT, virtual=True)
            stages.append(Stage(backend, Listener))
        yield stages[0], stages[1]
    finally:
        for stage in stages:
            await stage.backend.close()
        for server in servers:
            server.close()


@pytest.mark.shows("3.11")
async def test_a_sleeper_moves_in_a_storm_and_nothing_is_lost_or_heard_twice(stores: tuple[Stage, Stage]) -> None:
    earth, mars = stores
    cid = await earth.start(Listener, budget=BudgetVector({"usd": 10**9}))
    sent = asyncio.Event()

    async def writes_letters() -> None:
        where = earth
        for number in range(STORM):
            while True:
                try:
                    await verbs.send(where.at, cid, number, key=f"letter-{number}")
                    break
                except ContinuationMovedError:
                    where = mars
                except ContinuationNotFoundError:  # on its way
                    await asyncio.sleep(0.005)
            if number == MOVE_AT:
                sent.set()
            await asyncio.sleep(0.001)

    async def publishes_to_both() -> None:
        for number in range(STORM):
            for stage in (earth, mars):
                await stage.publish("storm.today", f"event-{number}")
            await asyncio.sleep(0.001)

    async with Runtime(earth, Listener) as on_earth, Runtime(mars, Listener) as on_mars:
        await on_earth.until_quiet()  # it has subscribed: what is published before that is not for it
        writing, publishing = asyncio.create_task(writes_letters()), asyncio.create_task(publishes_to_both())
        await sent.wait()
        file = await export(earth.at, cid, "mars", move=True)
        left = await verbs.glance_of(earth.at, cid)
        assert await export(earth.at, cid, "mars", move=True) == file, "whatever died in between, the file is the same"
        assert (await bring_in(mars.at, file)).new
        assert not (await bring_in(mars.at, file)).new, "twice is once"
        await asyncio.gather(writing, publishing)
        (interest,) = (await mars.checkpoint(cid)).interests
        for body in await earth.backend.records.dead_letters(Partition(0), limit=10_000):
            letter = orjson.loads(body)
            assert (letter["cause"], letter["to"]) == ("moved", cid)
            await mars.backend.store.deliver(cid, told_again(letter["payload"], interest.id))

        async def has_heard_all() -> bool:
            state = await mars.state(cid)
            return len(state["letters"]) >= STORM and len(state["events"]) >= STORM

        await on_mars.until(has_heard_all)

    heard = await mars.state(cid)
    assert heard["letters"] == list(range(STORM)), "in order, each once"
    assert sorted(heard["events"]) == sorted(f"event-{number}" for number in range(STORM))
    assert await verbs.glance_of(earth.at, cid) == left, "the source never woke again"
    assert (await verified(mars.at, cid)).damages == ()


def told_again(payload: str, interest_id: str) -> Mail:
    """What somebody does with a dead letter of the source: the same mail, where its receiver lives now."""
    event = Event.model_validate_json(payload)
    return Mail(
        id=MailId(event.id),
        kind=Kind.EVENT,
        sender=event.source,
        subject=event.subject,
        correlation=interest_id,
        body=event.model_dump(mode="json"),
        sent_ms=event.time_ms,
    )


async def asleep(stage: Stage) -> ContinuationId:
    """A listener that has heard, thought, and sleeps."""
    cid = await stage.start(Listener, budget=BudgetVector({"usd": 10_000_000, "tokens": 1_000_000}))
    for number in range(11):
        await verbs.send(stage.at, cid, number)
        await stage.settle()
    return cid


def in_memory() -> Stage:
    return Stage(MemoryBackend(clock=ManualClock(), tenant=TENANT), Listener)


@pytest.mark.shows("3.10")
async def test_a_budget_is_the_same_to_the_bit_after_21_days_asleep_and_after_a_move(
    stores: tuple[Stage, Stage],
) -> None:
    earth, mars = stores
    cid = await asleep(earth)
    before = orjson.dumps(views.budget(await earth.ledger(cid)))
    assert (await earth.ledger(cid)).account("usd").spent > 0
    await earth.advance(DAYS_21_MS - 1)
    await earth.settle()
    assert orjson.dumps(views.budget(await earth.ledger(cid))) == before
    await bring_in(mars.at, await export(earth.at, cid, "mars", move=True))
    assert orjson.dumps(views.budget(await mars.ledger(cid))) == before
    await mars.advance(DAYS_21_MS + 60_000)
    await mars.settle()
    assert (await mars.state(cid))["alarms"] == 1, "the timer came along"
    assert orjson.dumps(views.budget(await mars.ledger(cid))) == before


async def test_a_file_that_was_changed_anywhere_is_refused() -> None:
    earth, mars = in_memory(), in_memory()
    file = await export(earth.at, await asleep(earth), "mars", move=False)
    for place in range(0, len(file) - 1, 97):
        broken = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
        with pytest.raises(IntegrityError):
            await bring_in(mars.at, broken)
    for cut in (file[:-40], file[: len(file) // 2], b"", b"{}\n"):
        with pytest.raises(IntegrityError):
            await bring_in(mars.at, cut)
    assert await mars.all() == []
    assert (await bring_in(mars.at, file)).new


async def test_another_key_must_be_given_and_seals_are_made_anew() -> None:
    earth, mars = in_memory(), in_memory()
    mars.at = replace(mars.at, seal=Seal(b"quite another key of thirty-two b"))
    cid = await asleep(earth)
    file = await export(earth.at, cid, "mars", move=True)
    with pytest.raises(IntegrityError, match="--key-file"):
        await bring_in(mars.at, file)
    assert (await bring_in(mars.at, file, SEAL)).cids == (cid,)
    assert (await verified(mars.at, cid)).damages == ()
    assert (await verified(earth.at, cid)).damages == ()


async def test_a_stranger_s_export_is_refused() -> None:
    earth = in_memory()
    other = Stage(MemoryBackend(clock=ManualClock(), tenant=TenantId("other")), Listener)
    file = await export(earth.at, await asleep(earth), "mars", move=False)
    with pytest.raises(InvalidInput, match="belongs to tenant default"):
        await bring_in(other.at, file)


async def test_a_copy_does_not_displace_the_living_and_a_moved_one_is_not_copied() -> None:
    earth, mars = in_memory(), in_memory()
    cid = await asleep(earth)
    copy = await export(earth.at, cid, "a drawer", move=False)
    with pytest.raises(Conflict, match="lives here already"):
        await bring_in(earth.at, copy)
    await export(earth.at, cid, "mars", move=True)
    with pytest.raises(ContinuationMovedError):
        await export(earth.at, cid, "a drawer", move=False)
    assert "moved to mars" in await earth.why(cid)
    assert (await bring_in(mars.at, copy)).mode == "copy"


async def test_what_it_heard_here_it_knows_again_there(stores: tuple[Stage, Stage]) -> None:
    for earth, mars in (stores, (in_memory(), in_memory())):
        cid = await asleep(earth)
        await verbs.send(earth.at, cid, 99, key="once")
        await earth.settle()
        await bring_in(mars.at, await export(earth.at, cid, "mars", move=True))
        await verbs.send(mars.at, cid, 99, key="once")
        await mars.settle()
        assert (await mars.state(cid))["letters"].count(99) == 1
