"""Clocks that a store in memory can stand on: they can be read without waiting."""

import asyncio
import time
from typing import Protocol

from maestro.clock import Clock
from maestro.ids import TimeMs


class ReadableClock(Clock, Protocol):
    """A clock of this process; `maestro.clock.ManualClock` is one, too."""

    def read(self) -> TimeMs:
        """The time now, at once."""
        ...


class SystemClock:
    """The machine's clock; it stands in for the store's only while the store is this process."""

    async def now_ms(self) -> TimeMs:
        return self.read()

    def read(self) -> TimeMs:
        return TimeMs(time.time_ns() // 1_000_000)

    async def sleep_until(self, due_ms: TimeMs) -> None:
        await asyncio.sleep(max(0, due_ms - self.read()) / 1000)
        if self.read() < due_ms:  # the loop's clock and the wall's are two
            await self.sleep_until(due_ms)
