"""A whole runtime in one process: host, loops and store; and what must hold of everybody at any moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from maestro.continuation.wait import AnyOf, Children, ScheduledWake, WaitFor, parts
from maestro.ids import ContinuationId
from maestro.pane.views import View
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import keep
from maestro.tick.behaviour import Behaviour
from tests.stage import ALICE, LEASE_MS, Stage

PATIENCE_S = 30.0
LOOK_S = 0.01


class Runtime:
    """A stage whose loops run by themselves; every look at it checks that nobody is in limbo."""

    def __init__(self, stage: Stage, *behaviours: type[Behaviour[Any]], slots: int = 2) -> None:
        self.stage = stage
        around = stage.surroundings(*behaviours)
        settings = HostSettings("default", ALICE, stage.backend.partitions, slots, LEASE_MS, idle_ms=50)
        self.host = Host(settings, around, stage.backend.signals)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Runtime":
        stage = self.stage
        loops = (stage.timekeeper, stage.relay, stage.projector, stage.reaper)
        self._tasks = [asyncio.create_task(keep(type(loop).__name__, loop.step, loop.wait)) for loop in loops]
        self._tasks.append(asyncio.create_task(self.host.serve()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.host.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def until(self, look: Callable[[], Awaitable[bool]]) -> None:
        """`look` has come true; at every look, `why` answered for everybody."""
        async with asyncio.timeout(PATIENCE_S):
            while not await look():
                self.check_alive()
                await self.nobody_in_limbo()
                await asyncio.sleep(LOOK_S)
        await self.nobody_in_limbo()

    async def until_state(self, cid: ContinuationId, **fields: object) -> None:
        async def look() -> bool:
            state = await self.stage.state(cid)
            return isinstance(state, dict) and fields.items() <= state.items()

        await self.until(look)

    async def until_ended(self, cid: ContinuationId) -> None:
        async def look() -> bool:
            return (await self.stage.checkpoint(cid)).terminal

        await self.until(look)

    async def until_quiet(self) -> None:
        """Nobody is ready or held, and nothing is on its way."""
        seen = 0

        async def look() -> bool:
            nonlocal seen
            views = [await self.stage.view(cid) for cid in await self.stage.all()]
            awake = any(view.glance.holder or view.glance.ready_since_ms is not None for view in views)
            on_the_way = await self.stage.total("outbox") + await self.stage.total("projections")
            seen = 0 if awake or on_the_way else seen + 1
            return seen > 1  # what leaves one list may be on its way into the next

        await self.until(look)

    async def nobody_in_limbo(self) -> None:
        for cid in await self.stage.all():
            view = await self.stage.view(cid)
            assert await self.stage.why(cid)
            assert in_limbo(view) is None, f"{cid}: {in_limbo(view)}"

    def check_alive(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task} ended by itself")


def in_limbo(view: View) -> str | None:
    """Why nothing would ever wake it, or None: it is done, held, ready, in a lease, or waits for what can come."""
    c, g = view.checkpoint, view.glance
    if c.terminal or g.holder or g.frozen or c.hold or g.ready_since_ms is not None:
        return None
    if g.error is not None:
        return None  # a back-off: its retry is a timer of the store
    if c.wait is None:
        return "it never began, and is not ready"
    if not g.wake_keys:
        return f"it waits for {c.wait}, and no key of it is kept"
    return None if any(_can_end(part, view) for part in parts(c.wait)) else f"no part of {c.wait} can end"


def _can_end(wait: WaitFor, view: View) -> bool:
    c, unread = view.checkpoint, view.glance.unread
    match wait:
        case ScheduledWake():
            return "wake" in c.timers or unread > 0
        case Children():
            return any(cid in c.children for cid in wait.ids)
        case AnyOf():
            raise AssertionError("parts are simple")
        case _:
            return True
