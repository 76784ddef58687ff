"""Faults of the store and of its loops that need no Ray: power, disk, memory, scripts, due timers (PROMISES 2a, 2f)."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from maestro.adapters.redis.backend import open_backend
from maestro.chaos.proxy import Mode, Proxy
from maestro.chaos.store_child import StoreChild
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Kind, Mail
from maestro.errors import Fenced, MaestroError, StoreError, StoreUnavailable
from maestro.ids import ContinuationId, MailId, TenantId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.loops import Timekeeper
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.chaos.volume import volume
from tests.stage import Stage

MESSAGES = 100
TIMERS, DUE_MS = 1_000, 60_000
PATIENCE_S = 60.0


class Listener(Behaviour[NoState]):
    """Never ticks here: what it was sent lies in its mailbox."""


class Alarms(BaseModel):
    fired: list[str] = []


class Clockwork(Behaviour[Alarms]):
    """A quarter of a thousand timers, each due a little after the one before."""

    async def start(self, tick: Tick[Alarms]) -> Closing | None:
        for number in range(TIMERS // 4):
            tick.set_timer(f"t{number:04}", tick.now_ms + DUE_MS + number)
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[Alarms], timer_id: str) -> Closing | None:
        tick.state.fired.append(timer_id)
        return Sleep.until_woken()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Backend]:
    """The ports of the store, as soon as it answers."""
    backend: Backend | None = None
    async with asyncio.timeout(PATIENCE_S):
        while backend is None:
            try:
                backend = await open_backend(url, TenantId("wounded"), virtual=True)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    yield backend
    await backend.close()


async def sent(stage: Stage, cid: ContinuationId, first: int) -> list[str]:
    """Ids of the messages that were acknowledged, until one was not."""
    told: list[str] = []
    for number in range(first, first + MESSAGES):
        try:
            told.append(await verbs.send(stage.at, cid, {"n": number}, key=f"m{number}"))
        except StoreError:
            break
    return told


async def kept(stage: Stage) -> list[str]:
    adopted = await stage.taken()
    return [mail.id for mail in adopted.mail]


@pytest.mark.powercut
async def test_f2_a_power_cut_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    """Everything since the last write that reached the disk is gone; with `appendfsync always` nothing is."""
    with volume(folder, 48) as disk:
        child = StoreChild(disk.at / "store")
        await child.start()
        async with opened(child.url) as backend:
            stage = Stage(backend, Listener)
            cid = await stage.start(Listener)
            acknowledged = await sent(stage, cid, 0)
            disk.cut_power()
        await child.kill()
        disk.unmount()
        disk.mount()
        await child.start()
        try:
            async with opened(child.url) as backend:
                assert len(acknowledged) == MESSAGES
                assert set(acknowledged) <= set(await kept(Stage(backend, Listener)))
        finally:
            await child.kill()


@pytest.mark.powercut
async def test_f10_a_full_disk_loses_nothing_that_was_acknowledged_and_goes_on_when_there_is_room(folder: Path) -> None:
    with volume(folder, 24) as disk:
        child = StoreChild(disk.at / "store")
        await child.start()
        async with opened(child.url) as backend:
            stage = Stage(backend, Listener)
            cid = await stage.start(Listener)
            acknowledged = await sent(stage, cid, 0)
            ballast = disk.fill()
            some = await sent(stage, cid, MESSAGES)
            assert len(some) < MESSAGES, "writes are refused, and say so"
        ballast.unlink()
        await child.kill()
        await child.start()
        try:
            async with opened(child.url) as backend:
                stage = Stage(backend, Listener)
                more = await sent(stage, cid, 2 * MESSAGES)
                assert len(more) == MESSAGES
                assert {*acknowledged, *some, *more} <= set(await kept(stage))
        finally:
            await child.kill()


async def test_f11_without_memory_writes_are_refused_whole_and_reads_go_on(store: StoreChild) -> None:
    async with opened(store.url) as backend:
        stage = Stage(backend, Clockwork)
        cid = await stage.start(Clockwork)
        await store.say("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(MaestroError):
            await verbs.send(stage.at, cid, {"n": 1}, key="m1")
        assert (await verbs.glance_of(stage.at, cid)).rev == 0
        await store.say("CONFIG", "SET", "maxmemory", 0)
        await stage.settle()
        await stage.audit()
        assert (await verbs.glance_of(stage.at, cid)).rev == 1


async def test_f17_scripts_that_the_store_forgot_are_loaded_again(store: StoreChild) -> None:
    async with opened(store.url) as backend:
        stage = Stage(backend, Clockwork)
        await store.say("SCRIPT", "FLUSH")
        cid = await stage.start(Clockwork)
        await store.say("SCRIPT", "FLUSH")
        await stage.settle()
        assert (await verbs.glance_of(stage.at, cid)).rev == 1


async def test_f4_a_store_that_is_stopped_is_waited_for_and_nothing_is_done_twice(store: StoreChild) -> None:
    async with opened(store.url) as backend:
        stage = Stage(backend, Listener)
        cid = await stage.start(Listener)
        store.signal(signal.SIGSTOP)
        asked = [asyncio.create_task(verbs.send(stage.at, cid, n, key=f"m{n}")) for n in range(10)]
        done, _ = await asyncio.wait(asked, timeout=0.5)
        assert not done
        store.signal(signal.SIGCONT)
        ids = await asyncio.gather(*asked)
        assert [await verbs.send(stage.at, cid, n, key=f"m{n}") for n in range(10)] == ids
        assert (await verbs.glance_of(stage.at, cid)).unread == 10 + 1, "and its start"


async def test_f7_a_reply_that_is_lost_is_recognised_when_it_is_asked_again(store: StoreChild) -> None:
    async with Proxy(f"unix:{store.socket}") as proxy, opened(f"redis://127.0.0.1:{proxy.port}/0") as backend:
        stage = Stage(backend, Listener)
        cid = await stage.start(Listener)
        hello = Mail(id=MailId("once"), kind=Kind.MESSAGE, sender="a test", sent_ms=await backend.clock.now_ms())
        proxy.drop_replies()
        with pytest.raises(StoreUnavailable):
            await backend.store.deliver(cid, hello)
        assert proxy.dropped_replies == 1
        assert (await verbs.glance_of(stage.at, cid)).unread == 1 + 1, "it was done, and its start lies there"
        assert (await backend.store.deliver(cid, hello)).duplicate
        assert (await verbs.glance_of(stage.at, cid)).unread == 1 + 1


async def test_f6_who_is_cut_off_neither_stops_the_others_nor_commits_afterwards(store: StoreChild) -> None:
    async with (
        Proxy(f"unix:{store.socket}") as proxy,
        opened(store.url) as near,
        opened(f"redis://127.0.0.1:{proxy.port}/0") as far,
    ):
        here, there = Stage(near, Clockwork), Stage(far, Clockwork)
        cid = await here.start(Clockwork)
        stale = await there.taken()
        proxy.mode = Mode.BLACKHOLE
        await here.advance(10 * 60_000)
        await here.reaper.step()
        await here.settle()
        assert (await verbs.glance_of(here.at, cid)).rev >= 1
        proxy.mode = Mode.PASS
        with pytest.raises(Fenced):
            await far.store.release(cid, stale.epoch, 0, "late", counts=False)
        await here.audit()


@pytest.mark.parametrize("fault", ["F58 killed among them", "F59 two at once", "F60 paused until all are due"])
async def test_a_thousand_due_timers_fire_once_each_and_in_order(store: StoreChild, fault: str) -> None:
    async with opened(store.url) as backend:
        stage = Stage(backend, Clockwork)
        everybody = [await stage.start(Clockwork) for _ in range(4)]
        await stage.settle()
        await stage.advance(DUE_MS + TIMERS)
        timekeepers = [Timekeeper(backend), Timekeeper(backend)]
        if fault.startswith("F58"):
            dying = asyncio.create_task(timekeepers[0].step())
            await asyncio.sleep(0)
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
        steps = 2 if fault.startswith("F59") else 1
        async with asyncio.timeout(PATIENCE_S):
            while await stage.total("timers"):
                await asyncio.gather(*(timekeeper.step() for timekeeper in timekeepers[-steps:]))
        await stage.settle()
        wanted = [f"t{number:04}" for number in range(TIMERS // 4)]
        assert [await stage.state(cid) for cid in everybody] == [{"fired": wanted}] * 4
        await stage.audit()
