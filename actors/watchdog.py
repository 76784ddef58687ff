"""A thread that ends its process where nobody else would: hung, swollen, or left behind by its raylet.

Ray sees none of the three (PROMISES R3, R4). Whatever such a process held is ready again when its supervisor, or its
lease, tells of its end; the try that it was at counts.

Invariant: it needs nothing of the event loop that it watches. Not here: the deadline of a tick (maestro.tick.runner).
"""

import asyncio
import faulthandler
import os
import threading
import time
from dataclasses import dataclass
from time import monotonic

import psutil
import structlog

STUCK_AFTER_S = 30.0  # a loop that has not turned for so long runs no heartbeat either: end the process
LOOK_S = 1.0
EXIT_STUCK, EXIT_SWOLLEN, EXIT_ORPHANED = 70, 71, 72
MIB = 1024 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may be before it is ended."""

    stuck_after_s: float = STUCK_AFTER_S
    memory_mib: int | None = None
    """Resident; None for no limit."""
    look_s: float = LOOK_S


class Watchdog:
    """Watches the process that it is made in, from then on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits | None = None) -> None:
        self._loop = loop
        self._limits = limits or Limits()
        self._turned = monotonic()
        self._me = psutil.Process()
        self._parent = self._me.parent()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._loop.call_soon_threadsafe(self._turn)
            before = monotonic()
            time.sleep(self._limits.look_s)
            trouble = self._trouble(monotonic() - before - self._limits.look_s)
            if trouble is not None:
                code, reason = trouble
                log.critical("dying", reason=reason)
                faulthandler.dump_traceback()
                os._exit(code)

    def _turn(self) -> None:
        self._turned = monotonic()

    def _trouble(self, late_s: float) -> tuple[int, str] | None:
        """The exit code and the reason, where there is one to die; `late_s` is how much too long this thread slept."""
        limits = self._limits
        if late_s > limits.stuck_after_s:  # whoever waited for it has gone on without it
            return EXIT_STUCK, f"it was stopped for {late_s:.1f} s"
        if monotonic() - self._turned > limits.stuck_after_s:
            return EXIT_STUCK, f"the event loop has not turned for {limits.stuck_after_s} s"
        resident = self._me.memory_info().rss // MIB
        if limits.memory_mib is not None and resident > limits.memory_mib:
            return EXIT_SWOLLEN, f"{resident} MiB are resident, and {limits.memory_mib} MiB may be"
        if self._parent is not None and not _lives(self._parent):
            return EXIT_ORPHANED, f"its raylet, process {self._parent.pid}, is gone"
        return None


def _lives(process: psutil.Process) -> bool:
    """A zombie does not: nobody has noticed its end yet, but it has ended."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
