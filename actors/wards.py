"""The living children of one supervisor, each with a pending call that tells of its death, and asked whether it hangs.

Of a child on its own node a supervisor hears from the kernel that the process has ended, and the obituary listener at
once; what the end was, Ray tells some milliseconds later.

Invariants: of each child at most one incarnation is here; every end of one is told to the obituary listener, and an end
that the supervisor did not bring about itself is posted to it, once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

import ray
import structlog

from actors import children
from actors.children import Living
from actors.deathwatch import on_end
from actors.hanging import end_if_it_hangs
from actors.names import actor_name
from actors.obituary import Obituaries
from maestro.ids import HolderId
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import Exit, StopChild


class Wards:
    def __init__(self, obituaries: Obituaries, post: Callable[[Exit], None]) -> None:
        self.living: dict[str, Living] = {}
        self.ended_at_ms: dict[str, int] = {}
        self._obituaries = obituaries
        self._post = post
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._forget: dict[str, Callable[[], None]] = {}
        self._log = structlog.get_logger()

    async def find(self, specs: Iterable[ChildSpec]) -> dict[str, HolderId]:
        """Those of `specs` that live already, and as which incarnation; not watched yet."""
        found = await asyncio.gather(*(children.find(spec) for spec in specs))
        self.living = {living.spec.id: living for living in found if living is not None}
        return {child_id: living.incarnation for child_id, living in self.living.items()}

    def adopt(self, child_id: str) -> None:
        """One that was found is watched."""
        self._log.info("child adopted", child=child_id, incarnation=self.living[child_id].incarnation)
        self._watch(self.living[child_id])

    async def start(self, spec: ChildSpec) -> HolderId:
        """A fresh incarnation runs and is watched.

        Raises:
            Ignore: it wants to be left out.
            StartFailed: it did not become ready.
        """
        living = await children.start(spec)
        self._log.info("child started", child=spec.id, incarnation=living.incarnation, pid=living.pid)
        self._watch(living)
        return living.incarnation

    async def stop(self, action: StopChild) -> None:
        """The child is gone; nobody is told but the listener."""
        child_id = action.spec.id
        if (watch := self._watches.pop(child_id, None)) is not None:
            watch.cancel()
        self._forget.pop(child_id, _nothing)()
        await children.stop(self.living[child_id], action.shutdown)
        self._log.info("child stopped", child=child_id, incarnation=action.incarnation)
        self._gone(child_id)
        self._obituaries.tell(action.incarnation, "shutdown")

    async def bury(self, ended: Exit) -> bool:
        """True when it was the current incarnation: its process is gone and its name is free."""
        living = self.living.get(ended.id)
        if living is None or living.incarnation != ended.incarnation:
            return False
        self._log.warning("child ended", child=ended.id, incarnation=ended.incarnation, reason=ended.reason)
        await children.kill(actor_name(living.spec))
        self._gone(ended.id)
        return True

    def _watch(self, living: Living) -> None:
        self.living[living.spec.id] = living
        self._watches[living.spec.id] = asyncio.create_task(self._await_end(living))
        self._checks[living.spec.id] = asyncio.create_task(end_if_it_hangs(living, living.spec.hung_ms))
        if living.node == ray.get_runtime_context().get_node_id():
            told = partial(self._obituaries.tell, living.incarnation, "its process has ended")
            self._forget[living.spec.id] = on_end(living.pid, told)

    async def _await_end(self, living: Living) -> None:
        kind, text = await children.outcome(living)
        ended = Exit(living.spec.id, living.incarnation, kind, text)
        await self._obituaries.tell_first(living.incarnation, ended.reason)
        self._post(ended)

    def _gone(self, child_id: str) -> None:
        del self.living[child_id]
        self._forget.pop(child_id, _nothing)()
        if (check := self._checks.pop(child_id, None)) is not None:
            check.cancel()
        self.ended_at_ms[child_id] = time.time_ns() // 1_000_000


def _nothing() -> None:
    """Nobody was watched."""
