"""The mesh with many: sleepers by the thousand, a flood, and a relay that is killed again and again.

What is asserted is what arrives, in which order, that the account balances, and how often a full mailbox is looked
through; times are printed and play no part.
The long form: `make mesh` (10,000 sleepers, a flood of 10,000 events a second, 1,000,000 events).
"""

import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from maestro.ids import ContinuationId, EventId, TenantId, TimeMs
from maestro.mesh.account import Account, account_of
from maestro.mesh.event import Event
from maestro.runtime.backend import Backend
from maestro.tick.store import OutboxRow
from tests.contract.support import BOB, LEASE_MS, World, control, happening, tick_end

TENANT = TenantId("default")
ROOT = Path(__file__).parents[2]
SLEEPERS, FEW, SUBJECTS = int(os.environ.get("MESH_SLEEPERS", "1000")), 10, 1_000
AT_ONCE = 200
FLOOD, QUIET = int(os.environ.get("MESH_FLOOD", "11000")), 200
FLOOD_RATE, FLOODS = 10_000, int(os.environ.get("MESH_FLOODS", "1"))  # a second; how many, a calm before each
FULL = 10_000  # unread mails of one mailbox
EVENTS = int(os.environ.get("MESH_EVENTS", "2000"))
KILL_EVERY_S = float(os.environ.get("MESH_KILL_EVERY_S", "0.1"))
PATIENCE_S = float(os.environ.get("MESH_PATIENCE_S", "90"))
READERS = "readers"
SENDERS = 50  # so that many chains are under way at once
PER_COMMIT = 5 if EVENTS < 50_000 else 20
BACKLOG = 5_000  # rows that may wait for the relay: what is measured is the relay, not how long a stream can be

RELAY = """
import asyncio, sys
from maestro.adapters.redis.backend import open_backend
from maestro.ids import TenantId
from maestro.runtime.relay import Relay
async def main():
    relay = Relay(await open_backend(sys.argv[1], TenantId("default")))
    while await relay.step():
        await relay.wait(50)
    print("has carried something", flush=True)
    while True:
        if await relay.step():
            await relay.wait(50)
asyncio.run(main())
"""

FLOODING = """
import asyncio, itertools, os, sys, time
from maestro.adapters.redis.backend import open_backend
from maestro.ids import TenantId, TimeMs
from maestro.mesh.event import new_event
from maestro.runtime.publisher import MeshPublisher
async def main(url, first, count, rate):
    os.nice(10)  # as if it were another machine: what is measured is the store, not who gets a core
    backend = await open_backend(url, TenantId("default"))
    publisher = MeshPublisher(backend.router, backend.partitions)
    events = (new_event("flood.x", "feed.item", "source.flood", str(n), {"n": n}, TimeMs(5))
              for n in range(first, first + count))
    print("begins", flush=True)
    began, sent, under_way = time.monotonic(), 0, set()
    while sent < count:
        due = min(count, int((time.monotonic() - began) * rate))
        for event in itertools.islice(events, due - sent):
            task = asyncio.create_task(publisher.publish(event))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        sent = due
        await asyncio.sleep(0.005)
    await asyncio.gather(*under_way)
    print(round(count / (time.monotonic() - began)), flush=True)
    await backend.close()
asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
"""


async def sleepers(world: World, patterns: list[str], pool: str = "default") -> list[ContinuationId]:
    """One sleeper per pattern."""
    found: list[ContinuationId] = []

    async def one(pattern: str) -> None:
        adopted = await world.take(pool=pool)
        await world.commit(adopted, subscriptions=((pattern, "i", None),))
        found.append(adopted.cid)

    for first in range(0, len(patterns), AT_ONCE):
        batch = patterns[first : first + AT_ONCE]
        births = [await world.birth(pool=pool) for _ in batch]
        await asyncio.gather(*(world.backend.store.create(birth) for birth in births))
        await asyncio.gather(*map(one, batch))
    return found


async def account(world: World) -> Account:
    return account_of(await world.backend.records.counts(world.partition))


async def timed(act: Callable[[], Awaitable[Any]], times: int) -> list[float]:
    """How long each took, in ms, in order of size."""
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await act()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)


@pytest.mark.slow
@pytest.mark.timeout(120 + SLEEPERS / 20)
@pytest.mark.spec("04.2")
@pytest.mark.shows("5.2")
async def test_of_all_sleepers_an_event_wakes_the_three_that_it_matches(backend: Backend) -> None:
    world = World(backend)
    await sleepers(world, [f"few.s{n}.x" for n in range(FEW)])
    few = await timed(lambda: backend.router.route(happening("none.of.these"), world.partition), QUIET)
    patterns = [f"news.s{n % SUBJECTS}.x" for n in range(SLEEPERS - 3)]
    await sleepers(world, patterns)
    three = await sleepers(world, ["hot.one.x", "hot.*.x", "hot.>"])
    many = await timed(lambda: backend.router.route(happening("none.of.these"), world.partition), QUIET)

    routed = await backend.router.route(happening("hot.one.x"), world.partition)

    counts = await backend.records.counts(world.partition)
    assert (routed.matched, counts["ready:default"]) == (3, 3)
    assert {(await world.take()).cid for _ in range(3)} == set(three)
    middle = len(many) // 2
    print(f"route p50: {few[middle]:.3f} ms with {FEW} asleep, {many[middle]:.3f} ms with {SLEEPERS:,}"
          f" ({many[middle] / few[middle]:.2f} times)")  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.shows("5.4")
async def test_a_flood_to_one_takes_nothing_from_another(url: str, backend: Backend) -> None:
    """The flood comes from a process of its own, at most at its rate; whom it is for reads it afterwards."""
    world = World(backend)
    (flooded,) = await sleepers(world, ["flood.>"], READERS)
    await sleepers(world, ["quiet.>"])

    async def tell_quiet() -> None:
        await backend.router.route(happening("quiet.x"), world.partition)
        await world.commit(await world.take())

    quiets, ratios, rates = 0, [], []
    for number in range(FLOODS):
        calm = await timed(tell_quiet, QUIET)
        async with flooding(url, number * FLOOD) as rate:
            stormy: list[float] = []
            while not rate.done() or len(stormy) < QUIET:
                stormy += await timed(tell_quiet, 20)
        quiets += QUIET + len(stormy)
        ratios.append(_p99(stormy) / _p99(calm))
        rates.append(int(await rate))
        print(f"one event, told and applied, p99: {_p99(calm):.2f} ms quiet, {_p99(stormy):.2f} ms in a flood of"
              f" {rates[-1]:,} events/s ({ratios[-1]:.2f} times)")  # fmt: skip

    told, sent = await account(world), FLOODS * FLOOD
    assert (told.matched, told.applied) == (sent + quiets, quiets)
    assert (told.pending, told.dead) == (min(sent, FULL), max(0, sent - FULL)), "a full mailbox says so"
    assert told.pending == await pending(world)
    assert await world.unread(flooded) == min(sent, FULL)
    await _drained(world)
    told = await account(world)
    assert (told.pending, told.dead, await world.unread(flooded)) == (0, max(0, sent - FULL), 0)
    print(f"{FLOODS} floods: {sorted(ratios)[FLOODS // 2]:.2f} times, in the middle")


@asynccontextmanager
async def flooding(url: str, first: int) -> AsyncIterator["asyncio.Task[bytes]"]:
    """A process floods from now on; its rate, when it is done."""
    arguments = (sys.executable, "-c", FLOODING, url, str(first), str(FLOOD), str(FLOOD_RATE))
    flood = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert flood.stdout
    assert await flood.stdout.readline() == b"begins\n"
    yield asyncio.create_task(flood.stdout.readline())
    assert await flood.wait() == 0


def _p99(took: list[float]) -> float:
    return sorted(took)[-1 - len(took) // 100]


async def _drained(world: World) -> None:
    """The reader has read all that it has."""
    while (adopted := await world.backend.store.adopt(READERS, BOB, LEASE_MS, world.partition)) is not None:
        await world.commit(adopted)


async def test_a_full_mailbox_is_not_looked_through_for_each_event_that_it_refuses(url: str, backend: Backend) -> None:
    world = World(backend)
    (flooded,) = await sleepers(world, ["flood.>"], READERS)
    for first in range(0, FULL, AT_ONCE):
        events = [happening("flood.x", str(n)) for n in range(first, first + AT_ONCE)]
        await backend.router.route_all(events, world.partition)
    with redis.Redis.from_url(url) as teller:
        teller.config_resetstat()
        for _ in range(AT_ONCE):
            await backend.router.route(happening("flood.x"), world.partition)
        stats = teller.info("commandstats")
    told = await account(world)
    assert (told.pending, told.dead, await world.unread(flooded)) == (FULL, AT_ONCE, FULL)
    assert "cmdstat_lrange" not in stats


async def pending(world: World) -> int:
    """What lies in mailboxes and waits for scores, counted by looking at all of it."""
    waiting = await world.backend.projections.pending(world.partition, 100_000)
    unread = 0
    for cid in await world.backend.records.ids(world.partition):
        glance = await world.backend.records.glance(cid)
        unread += glance.unread if glance else 0
    return unread + sum(one.source == "event" for one in waiting)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 50)
@pytest.mark.spec("04.3")
@pytest.mark.shows("5.3")
async def test_events_arrive_once_and_in_order_whoever_is_killed_between(url: str, backend: Backend) -> None:
    """A relay of its own process is killed again and again; what it had begun the next one does."""
    world, heard = World(backend), Heard()
    (reader,) = await sleepers(world, ["load.>"], READERS)
    senders = await sleepers(world, [f"go.{n}" for n in range(SENDERS)])
    killed: list[int] = []
    killer = asyncio.create_task(_relayed(url, killed))
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            sending = asyncio.create_task(_send(world, senders))
            await _read(world, reader, heard)
            await sending
    finally:
        took_s = time.monotonic() - began
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)

    told = await account(world)
    assert heard.total == EVENTS
    assert heard.wrong == []
    assert (told.matched, told.applied, told.pending, told.dead) == (EVENTS, EVENTS, 0, 0)
    assert (await backend.records.counts(world.partition))["outbox"] == 0
    assert killed, "nobody was killed"
    print(f"{EVENTS:,} events from {SENDERS} senders in {took_s:.0f} s ({EVENTS / took_s:,.0f} a second);"
          f" the relay was killed {len(killed)} times: {told}")  # fmt: skip


class Heard:
    """What came, and whether each sender's came in its order, each once."""

    def __init__(self) -> None:
        self.total = 0
        self.wrong: list[str] = []
        self._last: defaultdict[str, int] = defaultdict(lambda: -1)

    def take(self, sender: str, number: int) -> None:
        if number != self._last[sender] + 1:
            self.wrong.append(f"{sender}: {number} after {self._last[sender]}")
        self._last[sender] = number
        self.total += 1


async def _relayed(url: str, killed: list[int]) -> None:
    """There is a relay, but for the moments after it was killed."""
    while True:
        relay = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RELAY, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert relay.stdout
            assert await relay.stdout.readline()
            await asyncio.sleep(KILL_EVERY_S)
        finally:
            relay.send_signal(signal.SIGKILL)
            await relay.wait()
        killed.append(relay.pid)


async def _acknowledged(world: World) -> None:
    """The relay, or whoever came after it, has taken back all that it had sent."""
    while (await world.backend.records.counts(world.partition))["outbox"]:  # noqa: ASYNC110 - another process does it
        await asyncio.sleep(0.02)


async def _send(world: World, senders: list[ContinuationId]) -> None:
    """Each sender's events leave in commits, one after the other."""
    each = EVENTS // SENDERS

    async def tick(first: int) -> None:
        adopted = await world.take()
        rows = tuple(_row(adopted.cid, adopted.rev, n) for n in range(first, min(first + PER_COMMIT, each)))
        await world.backend.store.commit(tick_end(adopted, outbox=rows))

    for first in range(0, each, PER_COMMIT):
        await asyncio.gather(*(world.backend.store.deliver(sender, control()) for sender in senders))
        await asyncio.gather(*(tick(first) for _ in senders))
        while (await world.backend.records.counts(world.partition))["outbox"] > BACKLOG:  # noqa: ASYNC110 - a store
            await asyncio.sleep(0.05)


def _row(sender: ContinuationId, rev: int, number: int) -> OutboxRow:
    event = Event(
        id=EventId(f"{sender}:{rev + 1}:{number}"), subject=f"load.x{number % 7}", type="event", source=sender,
        key=str(number), payload={"n": number}, time_ms=TimeMs(1), tenant=TENANT,
    )  # fmt: skip
    return OutboxRow(event.id, "event", "mesh", event.model_dump_json().encode())


async def _read(world: World, reader: ContinuationId, heard: Heard) -> None:
    """Tick after tick, until all has come."""
    while heard.total < EVENTS:
        adopted = await world.backend.store.adopt(READERS, BOB, LEASE_MS, world.partition)
        if adopted is None:
            await asyncio.sleep(0.02)
            continue
        for mail in adopted.mail:
            assert isinstance(mail.body, dict)
            heard.take(mail.sender, int(mail.body["payload"]["n"]))  # type: ignore[call-overload,index,arg-type]
        await world.commit(adopted)
