"""Many at once, on a real Redis: a crowd of stale holders, and a crowd of sleepers that all wake at the same moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing
from maestro.continuation.mail import Kind, Mail
from maestro.errors import Fenced
from maestro.ids import CallId, ContinuationId, HolderId, MailId, Rev, TenantId
from maestro.runtime import verbs
from maestro.runtime.capacity import counted, demand_of
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.pooling import Pool, first, wanted
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tick.store import Batch, Commit, JournalEntry
from tests.chaos.arena import own_redis
from tests.chaos.redis_server import OwnRedis
from tests.stage import BOB, LEASE_MS, Stage

ATTEMPTS, ROUNDS = 10_000, 10
CROWD, POOL = 1_000, 8
ELASTIC = Pool(min=1, max=POOL)
THOUGHT_S = 0.02  # a crowd of these is more than one actor gets through before it is given company
LOOK_S = 0.1
AT_ONCE = 500
PATIENCE_S = 120.0
SERVED: list[ContinuationId] = []
"""Who was served, in the order in which their ticks began."""


class Count(BaseModel):
    seen: int = 0


class Counting(Behaviour[Count]):
    async def on_message(self, tick: Tick[Count], message: Mail) -> Closing | None:
        tick.state.seen += 1
        return None


class Waiting(Behaviour[Count]):
    async def on_message(self, tick: Tick[Count], message: Mail) -> Closing | None:
        SERVED.append(tick.id)
        await asyncio.sleep(THOUGHT_S)
        tick.state.seen += 1
        return None


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    yield from own_redis()


@pytest.mark.shows("4.4")
async def test_of_ten_thousand_writes_of_stale_holders_none_is_accepted(redis: OwnRedis) -> None:
    """All that a holder can do: commit this tick or a later one, journal, hand back; while successors go on ticking."""
    backend = await open_backend(redis.url, TenantId("stale"), virtual=True)
    stage = Stage(backend, Counting)
    cid = await stage.start(Counting)
    await stage.settle()
    refused: Counter[str] = Counter()
    for turn in range(ROUNDS):
        await message(stage, cid, f"round {turn}")
        stale = await stage.adopt(BOB)
        assert stale is not None
        outcome = await run(stale, stage.around)
        assert isinstance(outcome, Commit)
        await stage.advance(LEASE_MS + 1)
        await stage.reaper.step()
        fresh = await stage.adopt(HolderId(f"successor-{turn}"))
        assert fresh is not None
        entry = JournalEntry(ordinal=0, kind="think", key="k", call_id=CallId("call-stale"), price=BudgetVector({}))
        batch = Batch((), stale.now_ms)

        def tries(outcome: Commit = outcome, entry: JournalEntry = entry, batch: Batch = batch) -> list[Awaitable[Any]]:
            store, epoch = backend.store, outcome.epoch
            return [
                store.commit(outcome),
                store.commit(replace(outcome, rev=Rev(outcome.rev + 1)), ("default", BOB, LEASE_MS)),
                store.record(cid, epoch, entry, batch),
                store.release(cid, epoch, 0, "stale", counts=True),
            ]

        async def storm(rounds: int) -> None:
            for _ in range(rounds // AT_ONCE):
                waves = [attempt for _ in range(AT_ONCE // 4) for attempt in tries()]
                for reply in await asyncio.gather(*waves, return_exceptions=True):
                    refused[type(reply).__name__] += 1

        share = ATTEMPTS // ROUNDS // 2
        await storm(share)  # before the successor's commit, and after it
        await stage.write(fresh, await run(fresh, stage.around))
        await storm(share)
    assert refused == {Fenced.__name__: ATTEMPTS}
    assert await stage.state(cid) == {"seen": ROUNDS}
    assert await stage.total("fenced") == ATTEMPTS
    await stage.audit()
    await backend.close()


@pytest.mark.shows("4.8")
async def test_a_thousand_that_wake_at_once_are_all_served_oldest_first(redis: OwnRedis) -> None:
    """A pool that may grow from one actor of one slot to eight, and asks for no more than that."""
    backend = await open_backend(redis.url, TenantId("crowd"))
    stage = Stage(backend, Waiting)
    crowd = [await stage.start(Waiting) for _ in range(CROWD)]
    async with pool(stage, "first"):
        await until_committed(stage, CROWD)
    SERVED.clear()
    for cid in crowd:
        await message(stage, cid, "wake")
    since = {cid: (await verbs.glance_of(stage.at, cid)).ready_since_ms for cid in crowd}
    async with elastic(stage) as sizes:
        await until_committed(stage, 2 * CROWD)
    order = {cid: place for place, cid in enumerate(sorted(crowd, key=lambda cid: (since[cid] or 0, cid)))}
    assert len(SERVED) == CROWD
    assert set(SERVED) == set(crowd), "each was served once"
    assert (sizes[0], max(sizes)) == (1, POOL)
    ahead = max(abs(place - order[cid]) for place, cid in enumerate(SERVED))
    assert ahead < POOL, "nobody went before another that had waited longer, but for those under way together"
    await backend.close()


@asynccontextmanager
async def pool(stage: Stage, name: str) -> AsyncIterator[None]:
    """So many hosts serve."""
    hosts = [
        Host(HostSettings("default", HolderId(f"{name}/{n}"), 1, idle_ms=200), stage.around, stage.backend.signals)
        for n in range(POOL)
    ]
    serving = [asyncio.create_task(host.serve()) for host in hosts]
    yield
    for host in hosts:
        host.stop()
    await asyncio.gather(*serving)


@asynccontextmanager
async def elastic(stage: Stage) -> AsyncIterator[list[int]]:
    """As many hosts serve as the rules of pools want, from one on; yields how many there were at each look."""
    size, sizes = first(ELASTIC, 0), [ELASTIC.min]
    async with asyncio.TaskGroup() as serving:
        hosts: list[Host] = []

        def fit() -> None:
            for n in range(len(hosts), size.wanted):
                how = HostSettings("default", HolderId(f"pool/default/{n}#c"), 1, idle_ms=200, linger_ms=30_000)
                hosts.append(Host(how, stage.around, stage.backend.signals))
                serving.create_task(hosts[-1].serve())

        async def keep() -> None:
            nonlocal size
            while True:
                await asyncio.sleep(LOOK_S)
                demand = demand_of(await counted(stage.backend), "default")
                size = wanted(ELASTIC, size, demand, int(monotonic() * 1_000))
                sizes.append(size.wanted)
                fit()

        fit()
        keeper = serving.create_task(keep())
        yield sizes
        keeper.cancel()
        for host in hosts:
            host.stop()


async def until_committed(stage: Stage, ticks: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await stage.total("committed") < ticks:  # noqa: ASYNC110 - the store rings no bell for a test
            await asyncio.sleep(0.02)


async def message(stage: Stage, cid: ContinuationId, key: str) -> None:
    now_ms = await stage.backend.clock.now_ms()
    mail = Mail(id=MailId(f"{cid} {key}"), kind=Kind.MESSAGE, sender="a test", sent_ms=now_ms)
    await stage.backend.store.deliver(cid, mail)
