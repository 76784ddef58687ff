"""What happened in a world, seen from outside: every call, and the rules that each applied call must keep at once.

Invariant (checked here, at each write): only the epoch that is current writes; and the same run gives the same
fingerprint.
"""

import asyncio
import hashlib
from collections import Counter
from typing import Any

from maestro.budget.vector import USD
from maestro.errors import ContinuationNotFoundError
from maestro.ids import CallId, ContinuationId, Epoch
from maestro.runtime.backend import Backend
from maestro.testing.faults import CLIENT, WRITES, Fault
from maestro.testing.process import Process
from maestro.testing.wire import Call
from maestro.tick.store import Adopted, Commit, Committed

FENCED_WRITES = frozenset({"store.record", "store.release"})


class History:
    """The witness of a world's calls."""

    def __init__(self, backend: Backend) -> None:
        self.violations: list[str] = []
        self.calls = 0
        self.changes: list[int] = []
        """The numbers of the calls of processes that changed what is stored."""
        self.faults: Counter[str] = Counter()
        """`fault call` -> how often."""
        self.deaths: Counter[str] = Counter()
        self.touched = False
        """Whether a write was applied since somebody last looked."""
        self.settled: dict[CallId, int] = {}
        """Call -> the micro-dollars that its pager told the store of."""
        self._backend = backend
        self._digest = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """A hash of all calls so far, with their callers, times and faults."""
        return self._digest.hexdigest()

    def called(self, process: Process, name: str, fault: Fault | None) -> Call:
        self.calls += 1
        now_s = asyncio.get_running_loop().time()
        self._digest.update(f"{now_s:.6f} {process.name} {name} {fault}\n".encode())
        if fault is not None:
            self.faults[f"{fault} {name}"] += 1
        return Call(self.calls, process.name, name)

    async def applied(self, by: Call, arguments: tuple[Any, ...], reply: Any) -> None:
        """Notes what the call changed; whether its caller ever hears of it is another matter."""
        self.touched = self.touched or by.name in WRITES
        if by.name in WRITES and by.process != CLIENT and _changed(by.name, arguments, reply):
            self.changes.append(by.number)
        if by.name == "journals.settle":
            call_id, charge = arguments[2], arguments[5]
            self.settled[call_id] = max(charge[USD], self.settled.get(call_id, 0))
        elif by.name == "store.commit":
            await self._committed(arguments[0], reply)
        elif by.name in FENCED_WRITES:
            await self._only_current(by.name, arguments[0], arguments[1], None)

    def ended(self, name: str, task: "asyncio.Task[Any]") -> None:
        """A process ended by itself: that is a defect."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.violations.append(f"{name} ended by a defect: {_told(error)}")

    def defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio tells of errors that nobody waits for."""
        error = context.get("exception")
        self.violations.append(f"{context['message']}: {'' if error is None else _told(error)}")

    async def _committed(self, commit: Commit, reply: Committed) -> None:
        if not reply.duplicate:
            await self._only_current("store.commit", commit.cid, commit.epoch, reply.next)

    async def _only_current(self, call: str, cid: ContinuationId, epoch: Epoch, following: Adopted | None) -> None:
        """I3: a stale epoch never writes."""
        try:
            glance = await self._backend.records.glance(cid)
        except ContinuationNotFoundError:
            return
        again = following is not None and following.cid == cid
        if glance is not None and glance.epoch != epoch + again:
            self.violations.append(f"I3: {call} of {cid} under epoch {epoch} was taken at epoch {glance.epoch}")


def _changed(call: str, arguments: tuple[Any, ...], reply: Any) -> bool:
    """False for a write that found nothing to do."""
    match call:
        case "store.adopt":
            return reply is not None
        case "store.deliver" | "router.route":
            return not reply.duplicate
        case "router.route_all":
            return not all(routed.duplicate for routed in reply)
        case "timers.fire":
            return bool(reply.count)
        case "outbox.done":
            return bool(arguments[1])
        case "leases.reclaim" | "projections.project":
            return bool(reply)
        case "store.renew":
            return False
        case _:
            return True


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_told, error.exceptions))
    return f"{type(error).__name__}: {error}"
