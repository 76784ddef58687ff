"""Time is a port: integer milliseconds, UTC, of one clock per store.

Durable times are read inside the script that writes them; this port serves waits and displays. What is not here:
wall clocks of single machines.
"""

import asyncio
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
        self._moved = asyncio.Event()

    async def now_ms(self) -> TimeMs:
        return self.read()

    def read(self) -> TimeMs:
        return TimeMs(self._now_ms)

    def advance(self, by_ms: int) -> TimeMs:
        """Moves the clock forward; a clock never goes back."""
        if by_ms < 0:
            raise ValueError(f"a clock cannot go back by {by_ms} ms")
        self._now_ms += by_ms
        self._moved.set()
        self._moved = asyncio.Event()
        return self.read()

    async def sleep_until(self, due_ms: TimeMs) -> None:
        while self._now_ms < due_ms:
            await self._moved.wait()
