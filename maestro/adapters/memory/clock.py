"""Clocks that a store in memory can stand on: they can be read without waiting."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from maestro.clock import Clock
from maestro.ids import TimeMs


class ReadableClock(Clock, Protocol):
    """A clock of this process; `maestro.clock.ManualClock` is one, too."""

    def read(self) -> TimeMs:
        """The time now, at once."""
        ...


def machine_ms() -> int:
    """What the machine's clock shows."""
    return time.time_ns() // 1_000_000


class SystemClock:
    """The machine's clock; it stands in for the store's only while the store is this process.

    It never goes back: where the machine's was set back, it goes on from where it was until that has caught up.
    """

    def __init__(self, machine_ms: Callable[[], int] = machine_ms) -> None:
        self._machine_ms = machine_ms
        self._told_ms = self._ahead_ms = 0

    async def now_ms(self) -> TimeMs:
        return self.read()

    def read(self) -> TimeMs:
        shown_ms = self._machine_ms()
        if shown_ms >= self._told_ms:
            self._ahead_ms = 0
        elif shown_ms + self._ahead_ms < self._told_ms:
            self._ahead_ms = self._told_ms - shown_ms
        self._told_ms = shown_ms + self._ahead_ms
        return TimeMs(self._told_ms)

    async def sleep_until(self, due_ms: TimeMs) -> None:
        await asyncio.sleep(max(0, due_ms - self.read()) / 1000)
        if self.read() < due_ms:  # the loop's clock and the wall's are two
            await self.sleep_until(due_ms)
