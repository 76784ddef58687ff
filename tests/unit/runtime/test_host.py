"""A host under a store that loses replies, refuses, and under orders that come in mid tick."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control, Mail
from maestro.errors import StoreRefused, StoreUnavailable
from maestro.ids import ContinuationId, HolderId, Partition
from maestro.runtime import host as host_module
from maestro.runtime import verbs
from maestro.runtime.host import Host, HostSettings
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import ALICE, LEASE_MS, Stage

BEGUN: list[ContinuationId] = []


class Finisher(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Finish(result="done")


class Sleeper(Behaviour[NoState]):
    """Each message is a tick that does not end by itself."""

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        BEGUN.append(tick.id)
        await asyncio.Event().wait()
        return Sleep.until_woken()


class LossyStore:
    """The store behind a connection that loses the reply, or the request, of the calls that it is told."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.lose_replies: dict[str, int] = {}
        self.refuse: dict[str, int] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._store, name)

        async def through(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if self._strikes(self.refuse, name):
                raise StoreRefused("out of memory")
            reply = await call(*arguments, **named)
            if self._strikes(self.lose_replies, name):
                raise StoreUnavailable("the connection broke")
            return reply

        return through

    def _strikes(self, faults: dict[str, int], name: str) -> bool:
        left = faults.get(name, 0)
        faults[name] = left - 1
        return left > 0


class Hosted:
    """A running host on a stage."""

    def __init__(self, stage: Stage, slots: int = 1) -> None:
        self.stage = stage
        self.store = LossyStore(stage.backend.store)
        around = stage.surroundings(Finisher, Sleeper, store=self.store)
        settings = HostSettings("default", ALICE, stage.backend.partitions, slots, LEASE_MS, idle_ms=20)
        self.host = Host(settings, around, stage.backend.signals)
        self._task = asyncio.create_task(self.host.serve())

    async def eventually(self, look: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await look():
                assert not self._task.done(), self._task
                await asyncio.sleep(0.01)

    async def ended(self, cid: ContinuationId) -> None:
        async def look() -> bool:
            return (await self.stage.checkpoint(cid)).terminal

        await self.eventually(look)

    async def close(self) -> None:
        self.host.stop()
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "COMMIT_RETRY_S", 0.01)
    monkeypatch.setattr(host_module, "STORE_RETRY_S", 0.01)
    BEGUN.clear()


@pytest.fixture
async def hosted() -> AsyncIterator[Hosted]:
    stage = Stage(MemoryBackend(1, ManualClock()), Finisher, Sleeper)
    hosted = Hosted(stage)
    yield hosted
    await hosted.close()
    await stage.audit()


async def test_it_ticks_what_is_ready(hosted: Hosted) -> None:
    cid = await hosted.stage.start(Finisher)
    await hosted.ended(cid)
    assert (await hosted.stage.checkpoint(cid)).result == "done"


async def test_a_commit_whose_reply_is_lost_lands_once(hosted: Hosted) -> None:
    hosted.store.lose_replies["commit"] = 3
    cid = await hosted.stage.start(Finisher)
    await hosted.ended(cid)

    async def known() -> bool:
        return hosted.store.calls.count("commit") >= 4

    await hosted.eventually(known)
    assert [record.rev for record in await verbs.records(hosted.stage.at, cid)] == [0, 1]
    assert await hosted.stage.total("fenced") == 0


async def test_what_was_adopted_with_a_lost_reply_is_not_stranded_while_its_holder_goes_on(hosted: Hosted) -> None:
    """The holder renews its lease for what it knows; for what it does not know of, the lease must run out."""
    hosted.store.lose_replies["adopt"] = 1
    orphan = await hosted.stage.start(Finisher)

    async def lost() -> bool:
        return (await verbs.glance_of(hosted.stage.at, orphan)).holder is not None

    await hosted.eventually(lost)
    for _ in range(4):  # the host is busy: it adopts, and its leases with it, all the time
        await hosted.ended(await hosted.stage.start(Finisher))
        await hosted.stage.advance(LEASE_MS // 3)
    await hosted.stage.reaper.step()
    await hosted.ended(orphan)
    assert await hosted.stage.total("reclaimed") == 1


async def test_what_was_adopted_with_a_lost_commit_is_not_stranded_either(hosted: Hosted) -> None:
    hosted.store.lose_replies["commit"] = 1
    cids = [await hosted.stage.start(Finisher) for _ in range(4)]

    async def unfinished() -> list[ContinuationId]:
        return [cid for cid in cids if not (await hosted.stage.checkpoint(cid)).terminal]

    async def one_is_left() -> bool:
        return len(await unfinished()) == 1

    await hosted.eventually(one_is_left)
    (orphan,) = await unfinished()
    assert (await verbs.glance_of(hosted.stage.at, orphan)).holder == ALICE
    for _ in range(4):
        await hosted.ended(await hosted.stage.start(Finisher))
        await hosted.stage.advance(LEASE_MS // 3)
    await hosted.stage.reaper.step()
    await hosted.ended(orphan)


async def test_a_refused_commit_hands_the_tick_back_uncounted(hosted: Hosted) -> None:
    hosted.store.refuse["commit"] = 5
    cid = await hosted.stage.start(Finisher)

    async def refused() -> bool:
        await hosted.stage.advance(1_000)
        await hosted.stage.timekeeper.step()
        return (await hosted.stage.checkpoint(cid)).terminal

    await hosted.eventually(refused)
    assert (await hosted.stage.checkpoint(cid)).status is Status.COMPLETED, "not quarantined for the store's trouble"


async def test_a_store_that_is_away_is_waited_for(hosted: Hosted) -> None:
    hosted.store.refuse["adopt"] = 20
    cid = await hosted.stage.start(Finisher)
    await hosted.ended(cid)


async def test_a_kill_interrupts_the_tick_under_way(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    cid = await busy(hosted)
    await verbs.order(hosted.stage.at, cid, Control.KILL)
    await hosted.host._renew_one(ALICE)
    await hosted.ended(cid)
    assert (await hosted.stage.checkpoint(cid)).status is Status.CANCELLED


async def test_the_order_that_woke_a_tick_does_not_interrupt_it(hosted: Hosted) -> None:
    """A long tick that a person woke would otherwise begin anew at every renewal, for ever."""
    cid = await asleep(hosted)
    await hosted.stage.backend.steering.freeze(cid, True)
    await verbs.send(hosted.stage.at, cid, "go")
    await verbs.order(hosted.stage.at, cid, Control.WAKE)
    await hosted.stage.backend.steering.freeze(cid, False)
    await hosted.eventually(lambda: _begun(cid))
    await hosted.host._renew_one(ALICE)
    assert hosted.host.awake[cid].task.cancelling() == 0


async def test_a_tick_whose_lease_was_taken_is_interrupted_and_what_it_has_is_dropped(hosted: Hosted) -> None:
    cid = await busy(hosted)
    stale = hosted.host.awake[cid].adopted
    await hosted.stage.backend.leases.reclaim(ALICE, Partition(0))
    fresh = await hosted.stage.backend.store.adopt("default", HolderId("another"), LEASE_MS, Partition(0))
    assert fresh is not None
    await hosted.host._renew_one(ALICE)

    async def dropped() -> bool:
        return cid not in hosted.host.awake and hosted.host.fenced == 1

    await hosted.eventually(dropped)
    glance = await hosted.stage.view(cid)
    assert (glance.glance.holder, glance.glance.epoch, glance.glance.rev) == ("another", fresh.epoch, stale.rev)


@pytest.mark.parametrize("order", [Control.GRANTED, Control.WAKE, Control.THAW])
async def test_what_ends_nobody_interrupts_nobody(hosted: Hosted, order: Control) -> None:
    """Whoever thaws once more, while the tick that the first thaw began goes on, would keep it from ever ending."""
    cid = await busy(hosted)
    await verbs.order(hosted.stage.at, cid, order)
    await hosted.host._renew_one(ALICE)
    assert hosted.host.awake[cid].task.cancelling() == 0


async def test_who_was_interrupted_says_why(hosted: Hosted) -> None:
    cid = await busy(hosted)
    hosted.host.stop()
    hosted.host.hand_back()
    async with asyncio.timeout(10):
        await hosted._task
    assert (await verbs.glance_of(hosted.stage.at, cid)).error == "interrupted: its process was told to end"


async def test_a_host_that_stops_lets_its_ticks_end(hosted: Hosted) -> None:
    cid = await busy(hosted)
    hosted.host.stop()
    hosted.host.awake[cid].task.cancel()
    async with asyncio.timeout(10):
        await hosted._task
    glance = await verbs.glance_of(hosted.stage.at, cid)
    assert glance.holder is None, "handed back, at once"
    assert glance.error == "interrupted: its task was cancelled, and nobody said why"


async def asleep(hosted: Hosted) -> ContinuationId:
    cid = await hosted.stage.start(Sleeper)

    async def look() -> bool:
        glance = await verbs.glance_of(hosted.stage.at, cid)
        return glance.rev == 1 and glance.holder is None

    await hosted.eventually(look)
    return cid


async def busy(hosted: Hosted) -> ContinuationId:
    cid = await asleep(hosted)
    await verbs.send(hosted.stage.at, cid, "go")
    await hosted.eventually(lambda: _begun(cid))
    return cid


async def _begun(cid: ContinuationId) -> bool:
    return cid in BEGUN


class Counter(BaseModel):
    n: int = 0


class Counting(Behaviour[Counter]):
    async def on_message(self, tick: Tick[Counter], message: Mail) -> Closing | None:
        tick.state.n += 1
        return None


@pytest.mark.spec("02.11")
async def test_a_burst_meets_who_was_here_and_its_checkpoint_is_read_once_though_others_are_idle() -> None:
    stage = Stage(MemoryBackend(1, ManualClock()), Counting)
    around, signals = stage.surroundings(Counting), stage.backend.signals
    hosts = [
        Host(HostSettings("default", HolderId(f"h{n}"), 1, 1, LEASE_MS, 5_000, 60_000), around, signals)
        for n in range(3)
    ]
    serving = [asyncio.create_task(host.serve()) for host in hosts]
    cid = await stage.start(Counting)
    for _ in range(200):  # whoever was roused for its birth has looked
        await asyncio.sleep(0)
    before, ticks = await stage.total("adopted_known"), [host.ticks for host in hosts]
    async with asyncio.timeout(20):
        for number in range(100):
            await verbs.send(stage.at, cid, {"number": number})
            while (await stage.state(cid) or {}).get("n") != number + 1:  # noqa: ASYNC110 - the store rings no bell
                await asyncio.sleep(0)
    burst = [host.ticks - first for host, first in zip(hosts, ticks, strict=True)]
    assert sorted(burst) == [0, 0, 100], "always the same"
    assert (await stage.total("adopted_known") - before, await stage.total("fenced")) == (100, 0), "one activation"
    await stage.audit()
    for task in serving:
        task.cancel()
    await asyncio.wait(serving)


async def test_another_takes_over_who_was_here_when_this_one_is_busy_and_reads_it_anew() -> None:
    stage = Stage(MemoryBackend(1, ManualClock()), Counting, Sleeper)
    around, signals = stage.surroundings(Counting, Sleeper), stage.backend.signals
    hosts = [
        Host(HostSettings("default", HolderId(f"h{n}"), 1, 1, LEASE_MS, 5_000, 60_000), around, signals)
        for n in range(2)
    ]
    serving = [asyncio.create_task(host.serve()) for host in hosts]
    cid, hog = await stage.start(Counting), await stage.start(Sleeper)
    async with asyncio.timeout(20):
        for number in range(10):
            await verbs.send(stage.at, cid, {"number": number})
            while (await stage.state(cid) or {}).get("n") != number + 1:  # noqa: ASYNC110 - the store rings no bell
                await asyncio.sleep(0)
            if number == 4:
                await verbs.send(stage.at, hog, "now")
                while not BEGUN:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0)
    assert await stage.state(cid) == {"n": 10}
    for task in serving:
        task.cancel()
    await asyncio.wait(serving)
