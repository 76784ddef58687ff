"""Show 6: a stale holder commits nothing, and the attempt is counted. In one process, and with SIGSTOP for real."""

import asyncio
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess

import psutil
import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.errors import Fenced
from maestro.ids import HolderId, Partition
from maestro.runtime import verbs
from maestro.tick.runner import run
from maestro.tick.store import Commit
from tests.chaos.arena import Arena, own_redis
from tests.chaos.doomed import Moment
from tests.chaos.family import DOOMED, Everything, Friend, Kid
from tests.chaos.redis_server import OwnRedis
from tests.stage import BOB, LEASE_MS, Stage


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    yield from own_redis()


async def test_whoever_lost_its_lease_commits_nothing() -> None:
    stage = Stage(MemoryBackend(1, ManualClock()), Everything, Kid, Friend)
    friend = await stage.start(Friend)
    await stage.settle()
    root = await stage.start(Everything, input=friend, pool=DOOMED)
    stale = await stage.adopt(BOB, DOOMED)
    assert stale is not None
    outcome = await run(stale, stage.around)
    assert isinstance(outcome, Commit)
    await stage.advance(LEASE_MS + 1)
    await stage.reaper.step()
    fresh = await stage.adopt(HolderId("another"), DOOMED)
    assert fresh is not None
    assert (fresh.cid, fresh.epoch) == (stale.cid, stale.epoch + 2), "one for the reclaim, one for the adoption"
    with pytest.raises(Fenced):
        await stage.write(stale, outcome)
    assert (await stage.checkpoint(root)).state is None
    await stage.write(fresh, await run(fresh, stage.around))
    with pytest.raises(Fenced):
        await stage.write(stale, outcome)
    assert await stage.total("fenced") == 2
    assert [record.epoch for record in await verbs.records(stage.at, root)] == [0, fresh.epoch]
    assert stage.model.asked == 2, "the successor was answered from the journal"
    await stage.audit()


@pytest.mark.parametrize(
    ("name", "moment"),
    [("store.record", "before"), ("pager.call", "after"), ("store.commit", "before")],
    ids=["asleep before an intent", "asleep with a call paid for", "asleep before its commit"],
)
async def test_stopped_beyond_its_lease_and_continued_it_commits_nothing(
    redis: OwnRedis, name: str, moment: Moment
) -> None:
    async with Arena(redis, f"measure-{name}") as arena:
        await arena.until_done()
        outcome, calls = await arena.outcome(), arena.calls
    async with Arena(redis, f"stopped-{name}") as arena:
        process, _ = arena.spawn(call=calls.index(name), moment=moment, victim="stopped")
        await stopped(process.pid)
        assert (await verbs.glance_of(arena.stage.at, arena.root)).holder is not None
        await arena.stage.advance(LEASE_MS + 1)
        assert await arena.stage.reaper.step() > 0
        assert arena.stage.reaper.reclaimed == 1
        await arena.until_done()
        before = await arena.stage.total("fenced")
        await ended(process)
        assert await arena.stage.total("fenced") == before + 1
        assert arena.fenced_hosts == 1
        await arena.audit()
        assert await arena.outcome() == outcome


@pytest.mark.spec("01.4")
async def test_continued_while_its_successor_is_about_to_commit_only_the_successor_does(redis: OwnRedis) -> None:
    """Both hold the same revision in their hands: the epoch alone tells them apart."""
    async with Arena(redis, "measure-both") as arena:
        await arena.until_done()
        calls = arena.calls
    async with Arena(redis, "both") as arena:
        stale, holder = arena.spawn(call=calls.index("store.commit"), victim="stopped")
        await stopped(stale.pid)
        await arena.stage.backend.leases.reclaim(holder, Partition(0))
        fresh, _ = arena.spawn(call=1, victim="stopped")  # it adopts, finds all answers in the journal, commits
        await stopped(fresh.pid)
        assert arena.calls[-2:] == ["store.adopt", "store.commit"]
        await ended(stale)
        assert ((await arena.stage.view(arena.root)).glance.rev, await arena.stage.total("fenced")) == (0, 1)
        await ended(fresh)
        await arena.until_done()
        await arena.audit()


async def ended(process: ForkServerProcess) -> None:
    """It was continued, and has ended in good order."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == 0


async def stopped(pid: int | None) -> None:
    """The process has stopped itself."""
    assert pid is not None
    async with asyncio.timeout(60):
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110 - the kernel rings no bell
            await asyncio.sleep(0.01)
