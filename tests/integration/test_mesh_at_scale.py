"""The mesh with many: sleepers by the thousand, a flood, and a relay that is killed again and again.

What is asserted is what arrives, in which order, and that the account balances; times are printed and play no part.
The long form: `make mesh` (10,000 sleepers, a flood that fills a mailbox, 1,000,000 events).
"""

import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

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
FLOOD, QUIET = int(os.environ.get("MESH_FLOOD", "2000")), 200
FULL = 10_000  # unread mails of one mailbox
EVENTS = int(os.environ.get("MESH_EVENTS", "2000"))
KILL_EVERY_S = float(os.environ.get("MESH_KILL_EVERY_S", "0.1"))
PATIENCE_S = float(os.environ.get("MESH_PATIENCE_S", "90"))
READERS = "readers"
SENDERS, PER_COMMIT = 50, 5  # so that many chains are under way at once
BACKLOG = 5_000  # rows that may wait for the relay: what is measured is the relay, not how long a stream can be

RELAY = """
import asyncio, sys
from maestro.adapters.redis.backend import open_backend
from maestro.ids import TenantId
from maestro.runtime.loops import Relay
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
@pytest.mark.shows("5.4")
async def test_a_flood_to_one_takes_nothing_from_another(backend: Backend) -> None:
    world = World(backend)
    await sleepers(world, ["flood.>"], READERS)
    await sleepers(world, ["quiet.>"])

    async def tell_quiet() -> None:
        await backend.router.route(happening("quiet.x"), world.partition)
        await world.commit(await world.take())

    async def flood() -> None:
        for first in range(0, FLOOD, AT_ONCE):
            count = min(AT_ONCE, FLOOD - first)
            routes = (backend.router.route(happening("flood.x"), world.partition) for _ in range(count))
            await asyncio.gather(*routes)

    calm = await timed(tell_quiet, QUIET)
    flooding = asyncio.create_task(flood())
    stormy = await timed(tell_quiet, QUIET)
    await flooding

    told = await account(world)
    assert (told.matched, told.applied) == (FLOOD + 2 * QUIET, 2 * QUIET)
    assert (told.pending, told.dead) == (min(FLOOD, FULL), max(0, FLOOD - FULL)), "a full mailbox says so"
    assert told.pending == await pending(world)
    last = -1 - QUIET // 100
    print(f"one event, told and applied, p99: {calm[last]:.2f} ms quiet, {stormy[last]:.2f} ms in a flood")


async def pending(world: World) -> int:
    """What lies in mailboxes and waits for scores, counted by looking at all of it."""
    waiting = await world.backend.projections.pending(world.partition, 100_000)
    unread = 0
    for cid in await world.backend.records.ids(world.partition):
        glance = await world.backend.records.glance(cid)
        unread += glance.unread if glance else 0
    return unread + sum(one.source == "event" for one in waiting)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.spec("04.3")
@pytest.mark.shows("5.3")
async def test_events_arrive_once_and_in_order_whoever_is_killed_between(url: str, backend: Backend) -> None:
    """A relay of its own process is killed again and again; what it had begun the next one does."""
    world, heard = World(backend), Heard()
    (reader,) = await sleepers(world, ["load.>"], READERS)
    senders = await sleepers(world, [f"go.{n}" for n in range(SENDERS)])
    killed: list[int] = []
    killer = asyncio.create_task(_relayed(url, killed))
    try:
        async with asyncio.timeout(PATIENCE_S):
            sending = asyncio.create_task(_send(world, senders))
            await _read(world, reader, heard)
            await sending
    finally:
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)

    told = await account(world)
    assert heard.total == EVENTS
    assert heard.wrong == []
    assert (told.matched, told.applied, told.pending, told.dead) == (EVENTS, EVENTS, 0, 0)
    assert (await backend.records.counts(world.partition))["outbox"] == 0
    assert killed, "nobody was killed"
    print(f"{EVENTS:,} events from {SENDERS} senders; the relay was killed {len(killed)} times: {told}")


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


async def _send(world: World, senders: list[ContinuationId]) -> None:
    """Each sender's events leave in commits, one after the other."""
    each = EVENTS // SENDERS
    for first in range(0, each, PER_COMMIT):
        for sender in senders:
            await world.backend.store.deliver(sender, control())
        for _ in senders:
            adopted = await world.take()
            numbers = range(first, min(first + PER_COMMIT, each))
            rows = tuple(_row(adopted.cid, adopted.rev, number) for number in numbers)
            await world.backend.store.commit(tick_end(adopted, outbox=rows))
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
