"""Telling the world that an incarnation is no more: at once, and again until it was heard.

The listener is an async function `module:function`, called with the incarnation and a reason; it is told at least once.
What it is for: the store can hand on what the dead one held, without waiting for a lease to run out.
Invariant: a listener that fails is logged and told again, ever more slowly; no restart waits longer than HEAD_START_S.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import cast

import structlog

from maestro.ids import HolderId

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
HEAD_START_S = 0.05  # a new process takes a core for 0.6 s: whoever takes over from the dead one is roused before that
ATTEMPT_S = 5.0  # a listener that hangs longer is told again

Listener = Callable[[str, str], Awaitable[None]]


def listener(path: str | None) -> Listener | None:
    """The function that `path` names.

    Raises:
        ImportError, AttributeError: there is none.
    """
    if path is None:
        return None
    module, _, name = path.partition(":")
    return cast(Listener, getattr(importlib.import_module(module), name))


class Obituaries:
    """Those not heard yet."""

    def __init__(self, path: str | None) -> None:
        self._listener = listener(path)
        self._untold: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    def tell(self, incarnation: HolderId, reason: str) -> "asyncio.Task[None] | None":
        """The listener will hear of it, now or as soon as it listens again; returns when it has, if there is one."""
        if self._listener is None:
            return None
        task = asyncio.create_task(self._tell(self._listener, incarnation, reason))
        self._untold.add(task)
        task.add_done_callback(self._untold.discard)
        return task

    async def tell_first(self, incarnation: HolderId, reason: str) -> None:
        """As `tell`; returns when the listener has heard, or after a moment if it has not."""
        if (telling := self.tell(incarnation, reason)) is not None:
            await asyncio.wait({telling}, timeout=HEAD_START_S)

    async def settle(self, within_s: float) -> None:
        """Those not heard within the time are given up: leases run out without them."""
        if self._untold:
            _, unheard = await asyncio.wait(self._untold, timeout=within_s)
            for task in unheard:
                task.cancel()
            if unheard:
                self._log.warning("obituaries given up", count=len(unheard))

    async def _tell(self, listen: Listener, incarnation: HolderId, reason: str) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    return await listen(incarnation, reason)
            except Exception as error:  # noqa: BLE001 - whatever the listener raises, it is told again
                self._log.warning("obituary not heard", incarnation=incarnation, error=repr(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
