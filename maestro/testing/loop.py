"""An event loop on virtual time: when every task waits, time jumps to the next moment that something is due.

Invariants: unmodified asyncio code runs on it, `asyncio.sleep` and `asyncio.timeout` included; nothing sleeps really;
ready callbacks run in the order in which they were registered, as asyncio promises; a store's clock moves along.

What is not here: sockets, subprocesses and threads. A loop that waits for those would wait for ever, and says so.
Source: trio's autojump clock.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from maestro.clock import ManualClock
from maestro.ids import TimeMs

STILL_TURNS = 200_000  # so many turns at one moment are no work but a loop that spins
TICK_S = 1e-6  # what is due within it is due now: float seconds are finer than that for centuries
TOLERANCE_MS = 1e-3  # sums of float seconds miss a whole millisecond by far less


class Standstill(RuntimeError):
    """Every task waits and nothing is due, or nothing ever lets time go on: a hang, found at once."""


class LoopClock(ManualClock):
    """A store's clock that sleeps on the loop's time; moved by hand, it jumps ahead of the loop."""

    async def sleep_until(self, due_ms: TimeMs) -> None:
        while (ahead_ms := due_ms - self.read()) > 0:  # noqa: ASYNC110 - this is where virtual time passes
            await asyncio.sleep(ahead_ms / 1000)


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time is `clock`'s, from 0 s on.

    Args:
        still: called whenever nothing more happens at this moment, before time jumps.
    """

    def __init__(self, clock: ManualClock, still: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._clock = clock
        self._stand_still = still
        self._now_s = 0.0
        self._told_ms = 0
        self._still = 0
        self._clock_resolution = TICK_S
        self._selector = self  # what asyncio's loops ask for input and for the passing of time

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def select(self, timeout_s: float | None) -> Sequence[Any]:
        """No input ever comes; where nothing is ready, `timeout_s` have passed at once.

        Raises:
            Standstill: nothing is ready and nothing is due, or time has stood still for too many turns.
        """
        if timeout_s is None:
            raise Standstill(f"at {self._now_s:.3f} s every task waits for something that cannot come")
        if timeout_s > 0:
            self._stand_still()
            self._now_s += timeout_s
            self._still = 0
            elapsed_ms = int(self._now_s * 1000 + TOLERANCE_MS)
            self._clock.advance(elapsed_ms - self._told_ms)
            self._told_ms = elapsed_ms
        self._still += 1
        if self._still > STILL_TURNS:
            self._still = 0
            raise Standstill(f"time has stood still at {self._now_s:.3f} s for {STILL_TURNS} turns of the loop")
        return ()

    def _process_events(self, event_list: Sequence[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else's thread wakes this loop."""
