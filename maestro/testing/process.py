"""A process of the simulated world: its tasks, its connection to the store, and its sudden end.

Invariants: what a process starts belongs to it; killed, it does nothing more to the outside, whatever its `finally`
blocks try; calls on one connection arrive in the order in which they were made, or, from a break on, not at all.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any

from maestro.errors import StoreUnavailable

_current: ContextVar["Process | None"] = ContextVar("process", default=None)
TURN_S = 1e-6  # between two arrivals on one connection: enough to order them


@dataclass(eq=False, slots=True)
class Process:
    """One process; a restarted one is another value."""

    name: str
    alive: bool = True
    paused_until_s: float = 0.0
    unconnected_until_s: float = 0.0
    breaks: int = 0
    """How often its connection broke: a call under way over a break has no reply."""
    _last_wake_s: float = 0.0
    _last_arrival_s: float = 0.0
    _tasks: dict["asyncio.Task[Any]", None] = field(default_factory=dict)

    def run(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """`work` runs in this process, and so does all that it starts."""
        context = copy_context()
        context.run(_current.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def kill(self) -> None:
        """It is gone, as by kill -9."""
        self.alive = False
        for task in tuple(self._tasks):
            task.cancel()

    def own(self, task: "asyncio.Task[Any]") -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def ended(self) -> None:
        """Returns when its last task has ended."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def present(self) -> None:
        """Returns when the process runs: never for a dead one, later for a paused one, in the order of the calls."""
        now_s = asyncio.get_running_loop().time()
        if self.alive and max(self.paused_until_s, self._last_wake_s) > now_s:
            self._last_wake_s = max(self.paused_until_s, self._last_wake_s + TURN_S)
            await asyncio.sleep(self._last_wake_s - now_s)
        if not self.alive:
            raise asyncio.CancelledError

    async def reach_store(self, latency_s: float) -> None:
        """Returns when the call that is made now arrives at the store.

        Raises:
            StoreUnavailable: the connection is broken, or breaks before the call's turn.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s < self.unconnected_until_s:
            raise unreachable("the connection is broken")
        breaks = self.breaks
        if latency_s > 0 or self._last_arrival_s > now_s:
            self._last_arrival_s = max(now_s + latency_s, self._last_arrival_s + TURN_S)
            await asyncio.sleep(self._last_arrival_s - now_s)
        if breaks != self.breaks:
            raise unreachable("the connection broke before the call arrived")

    def disconnect(self, for_s: float) -> None:
        """Calls under way have no reply, and none arrives for so long."""
        self.breaks += 1
        self.unconnected_until_s = asyncio.get_running_loop().time() + max(TURN_S, for_s)


def unreachable(why: str) -> StoreUnavailable:
    return StoreUnavailable(why, hint="this is a planted fault")


def own_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Every task of `loop` belongs to the process that starts it."""

    def make(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(work, loop=loop, **options)
        context = options.get("context")
        process = _current.get() if context is None else context.get(_current)
        if process is not None:
            process.own(task)
        return task

    loop.set_task_factory(make)
