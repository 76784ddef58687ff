"""Time is a port: integer milliseconds, UTC, of one clock per store.

Durable times are read inside the script that writes them; this port serves waits and displays. What is not here:
wall clocks of single machines.
"""

import asyncio
import heapq
import itertools
from typing import Protocol

from maestro.ids import TimeMs


class Clock(Protocol):
    """The store's clock as seen from one process."""

    async def now_ms(self) -> TimeMs:
        """Milliseconds since 1970-01-01 UTC on the store's clock."""
        ...

    async def sleep_until(self, due_ms: TimeMs) -> None:
        """Returns when the clock shows `due_ms` or later; never before."""
        ...


class ManualClock:
    """A clock that only moves when told; sleepers wake in order of their due times."""

    def __init__(self, start_ms: int = 1_721_001_600_000) -> None:
        self._now_ms = start_ms
        self._sleepers: list[tuple[TimeMs, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    async def now_ms(self) -> TimeMs:
        return self.read()

    def read(self) -> TimeMs:
        return TimeMs(self._now_ms)

    def advance(self, by_ms: int) -> TimeMs:
        """Moves the clock forward; a clock never goes back."""
        if by_ms < 0:
            raise ValueError(f"a clock cannot go back by {by_ms} ms")
        self._now_ms += by_ms
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            _, _, awake = heapq.heappop(self._sleepers)
            if not awake.done():  # a cancelled sleeper stays in the heap until its time
                awake.set_result(None)
        return self.read()

    async def sleep_until(self, due_ms: TimeMs) -> None:
        if due_ms <= self._now_ms:
            return
        awake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due_ms, next(self._arrivals), awake))
        await awake
