"""Filling the warehouse: what the feed tells becomes rows, once, in the order in which it was told.

Invariants: what is kept and how far the feed was read are one write, so that a death between any two steps neither
loses a fact nor keeps it twice; nothing but the feed is read, so that the warehouse can be made anew.
Not promised: facts that a feed dropped (it keeps about 100,000) before they were kept; `maestro costs` holds the sum
against the ledgers, and tells the difference.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import orjson

from maestro.ids import Partition
from maestro.runtime.backend import Backend
from maestro.tick.records import Fact
from maestro.warehouse.rows import Row, rows_of
from maestro.warehouse.stock import Stock, Stretch

BATCH = 1_000
LOOK_MS = 1_000  # how old the newest row may be; each stretch is a file
QUIET_FACTS = 5_000  # so many facts without a row are kept note of, so that nobody reads them again


@dataclass(frozen=True, slots=True)
class Quiet:
    """Facts that made no row, read and not kept note of."""

    behind: str
    """What was kept when they were read; of anything else that is kept, they say nothing."""
    last: str
    count: int = 0


@dataclass(slots=True)
class Warehouse:
    """The loop that fills the warehouse."""

    backend: Backend
    stock: Stock
    look_ms: int = LOOK_MS
    stored: int = 0
    """Rows, since it began."""
    _quiet: dict[Partition, Quiet] = field(default_factory=dict)

    async def step(self) -> int:
        partitions = [Partition(number) for number in range(self.backend.partitions)]
        counts = [await self._fill(partition) for partition in partitions]
        return 0 if any(count == BATCH for count in counts) else self.look_ms

    async def wait(self, pause_ms: int) -> None:
        await asyncio.sleep(pause_ms / 1000)

    async def _fill(self, partition: Partition) -> int:
        """What came since is kept; returns how many facts that were."""
        kept = await asyncio.to_thread(self.stock.reached, partition)
        quiet = self._quiet.get(partition)
        if quiet is None or quiet.behind != kept:  # somebody cleared it away, or another kept more
            quiet = Quiet(kept, kept)
        facts = await self.backend.records.feed(partition, quiet.last, BATCH)
        if not facts:
            return 0
        last, rows, seen = facts[-1].position, rows_in(facts, self.backend), quiet.count + len(facts)
        if rows or seen >= QUIET_FACTS:
            await asyncio.to_thread(self.stock.store, Stretch(partition, kept, last), rows)
            await asyncio.to_thread(self.stock.compact, partition)
            self.stored += len(rows)
        else:
            self._quiet[partition] = Quiet(kept, last, seen)
        return len(facts)


def rows_in(facts: Sequence[Fact], backend: Backend) -> list[Row]:
    """The rows of a stretch of the feed."""
    return [row for fact in facts for row in rows_of(orjson.loads(fact.body), backend.tenant)]


async def fresh(backend: Backend, reached: dict[Partition, str]) -> list[Row]:
    """The rows of all that the feeds tell beyond what is kept."""
    return [row async for row in _fresh(backend, reached)]


async def _fresh(backend: Backend, reached: dict[Partition, str]) -> AsyncIterator[Row]:
    for partition, start in reached.items():
        after = start
        while facts := await backend.records.feed(partition, after, BATCH):
            for row in rows_in(facts, backend):
                yield row
            after = facts[-1].position
