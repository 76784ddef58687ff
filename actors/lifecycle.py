"""The life of one actor incarnation, to be composed into every supervised actor.

A supervised actor class is async and has `ready()`, `watch()` and `stop(reason)`; each is one line on a Lifecycle:

    class RelayActor:
        def __init__(self, *, incarnation: str) -> None:
            self._life = Lifecycle(incarnation)
            self._life.run(self._relay())

        async def ready(self) -> dict[str, JsonValue]:
            return self._life.identity()

        async def watch(self) -> None:
            await self._life.ended()

        async def stop(self, reason: str) -> None:
            await self._life.stop(reason)

Invariants: a life ends once, with the first reason given; work that fails ends the life with its error; after `stop`
no work of this life runs any more.
Not here: ending the process. Its supervisor does that when `watch()` has told; `exit_actor` would wait for `watch()`.
"""

import asyncio
import os
from collections.abc import Coroutine

import ray
from pydantic import JsonValue

from maestro.ids import HolderId


class Lifecycle:
    """Made in the constructor of an async actor, where its event loop runs already."""

    def __init__(self, incarnation: str) -> None:
        self.incarnation = HolderId(incarnation)
        self.stopping = asyncio.Event()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._work: set[asyncio.Task[None]] = set()

    def identity(self) -> dict[str, JsonValue]:
        """Who this is and where: what `ready()` answers."""
        context = ray.get_runtime_context()
        return {
            "incarnation": self.incarnation,
            "actor": context.get_actor_name(),
            "pid": os.getpid(),
            "node": context.get_node_id(),
        }

    def run(self, work: Coroutine[object, object, None], *, vital: bool = True) -> asyncio.Task[None]:
        """`work` is under way; the life ends with it when it is vital, and fails with it in any case."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(lambda done: self._worked(done, vital))
        return task

    def end(self, error: BaseException | None = None) -> None:
        """The life is over: normally, or with `error`."""
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)
            self._end.exception()  # told to whoever watches; nobody may

    async def ended(self) -> None:
        """Returns when the life ends normally.

        Raises:
            BaseException: what the life ended with.
        """
        await asyncio.shield(self._end)

    async def stop(self, reason: str) -> None:
        """All work is cancelled and gone, and the life has ended normally."""
        self.stopping.set()
        work = [task for task in self._work if task is not asyncio.current_task()]
        for task in work:
            task.cancel(reason)
        await asyncio.gather(*work, return_exceptions=True)  # each failure has ended the life in `_worked`
        self.end()

    def _worked(self, task: asyncio.Task[None], vital: bool) -> None:
        self._work.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self.end(error)
        elif vital:
            self.end()
