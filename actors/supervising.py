"""The loop that every supervisor runs: one mailbox, one message at a time, each answered by the pure machine.

Invariants:
- the machine's actions are carried out in order and to the end before the next message is looked at;
- a death is seen by the pending call on the child, told to the obituary listener at once, and then waits its turn;
- a failed restart goes through the mailbox, behind a stop that waits there already;
- whoever comes after a supervisor that was killed finds its children by name and leaves them alone.

Not here: what to do about an exit (`maestro.supervision.machine`), how to do it on Ray (`actors.children`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import assert_never

import structlog

from actors import children, rosters
from actors.exits import Ignore, StartFailed
from actors.mailbox import Ask, Message, Retry, Stop, Turn
from actors.obituary import Obituaries
from actors.wards import Wards
from maestro.errors import ClusterError, MaestroError
from maestro.supervision import machine, requests
from maestro.supervision.roster import Roster, recall, roster
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import (
    AdoptChild,
    Decided,
    Deed,
    Exit,
    GiveUp,
    PostRetry,
    PostTurn,
    StartChild,
    StartTogether,
    StopChild,
    StopTogether,
    SupervisorState,
    Sweep,
)

LAST_WORDS_S = 2.0  # how long an ending supervisor waits for its last obituaries to be heard


class Supervising:
    """One incarnation of one supervisor."""

    def __init__(self, name: str, spec: ChildSpec, obituaries: Obituaries) -> None:
        self.state = machine.supervisor(spec)
        self._name = name
        self._spec = spec
        self._obituaries = obituaries
        self._mailbox: asyncio.Queue[Message] = asyncio.Queue()
        self.wards = Wards(obituaries, self._mailbox.put_nowait)
        self._left: Roster | None = None
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._over: asyncio.Event = asyncio.Event()
        self._over.set()
        self._log = structlog.get_logger().bind(supervisor=name)

    async def run(self) -> str | None:
        """Supervises until it is stopped (None) or has given up (the reason); its children are gone then."""
        self._over.clear()
        try:
            reason = await self._boot()
            while self.state.phase != "ended":
                reason = await self._receive(await self._mailbox.get())
        finally:
            self._refuse_the_rest()
            self._over.set()
        await rosters.forget(self._name)
        await self._obituaries.settle(LAST_WORDS_S)
        return reason

    async def gone(self) -> None:
        """Returns when nothing is supervised any more; at once where that never began."""
        await self._over.wait()

    async def up(self) -> None:
        """Returns when all children were started or adopted.

        Raises:
            ClusterError: the first start failed; the supervisor has given up.
        """
        await asyncio.shield(self._up)

    async def ask(self, change: Callable[[SupervisorState], Decided]) -> None:
        """The change is made, and the processes have followed it.

        Raises:
            MaestroError: the machine refused it, or the child did not start.
        """
        if self.state.phase == "ended":
            raise requests.over()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mailbox.put_nowait(Ask(change, answer))
        await answer

    def refuse(self, error: Exception) -> None:
        """It never comes up: whoever waits for that gets `error`."""
        _refuse(self._up, error)

    def stop(self) -> None:
        """The supervisor ends after what it is at now."""
        self._mailbox.put_nowait(Stop())

    async def _boot(self) -> str | None:
        left = await rosters.load(self._name)
        specs = self._spec.children if left is None else [entry.spec for entry in left]
        alive = await self.wards.find(specs)
        leave: frozenset[str] = frozenset()
        if left is not None:
            self.state, leave = recall(self._spec, left, alive)
        reason = await self._carry_out(machine.start_all(self.state, alive, leave))
        if self.state.phase == "ended":
            _refuse(self._up, ClusterError(f"{self._name} did not start: {reason}", hint="see its log"))
        else:
            self._up.set_result(None)
            self._log.info("supervisor is up", adopted=sorted(alive), children=len(self.state.children))
        return reason

    async def _receive(self, message: Message) -> str | None:
        match message:
            case Exit() as ended if await self.wards.bury(ended):
                return await self._carry_out(machine.on_exit(self.state, ended, _monotonic_ms()))
            case Exit():
                return None
            case Retry(child_id):
                return await self._carry_out(machine.on_retry(self.state, child_id, _monotonic_ms()))
            case Turn():
                return await self._carry_out(machine.on_turn(self.state, _monotonic_ms()))
            case Ask() as ask:
                await self._answer(ask)
                return None
            case Stop():
                return await self._carry_out(machine.stop_all(self.state))
            case _:
                assert_never(message)

    async def _answer(self, ask: Ask) -> None:
        try:
            decided = ask.change(self.state)
        except MaestroError as error:
            _refuse(ask.answer, error)
            return
        try:
            failure = await self._carry_out(decided)
        except Exception as error:
            _refuse(ask.answer, error)
            raise
        if failure is not None:
            _refuse(ask.answer, ClusterError(f"the child did not start: {failure}", hint="see its log"))
        elif not ask.answer.done():
            ask.answer.set_result(None)

    async def _carry_out(self, decided: Decided) -> str | None:
        """Does all of it; the reason when a start failed or the supervisor gave up."""
        self.state, batch = decided
        todo, reason = deque(batch), None
        while todo:
            match action := todo.popleft():
                case StartChild(spec):
                    failed = await self._start(spec)
                case StartTogether(specs):
                    failed = await self._start(*specs)
                case _:
                    reason = await self._do(action) or reason
                    continue
            if failed:
                todo.clear()
            for child_id, why in failed.items():
                self.state, instead = machine.on_start_failed(self.state, child_id, why)
                todo.extend(instead)
                reason = why
        await self._leave_roster()
        return reason

    async def _do(self, action: Deed) -> str | None:
        match action:
            case AdoptChild(spec):
                self.wards.adopt(spec.id)
            case StopChild():
                await self.wards.stop(action)
            case StopTogether(stops):
                await asyncio.gather(*(self.wards.stop(stop) for stop in stops))
            case Sweep(spec):
                await children.sweep(spec)
            case PostRetry(child_id):
                self._mailbox.put_nowait(Retry(child_id))
            case PostTurn(after_ms):
                self._post_later(Turn(), after_ms)
            case GiveUp(reason):
                self._log.error("supervisor gives up", reason=reason)
                return reason
            case _:
                assert_never(action)
        return None

    def _post_later(self, message: Message, after_ms: int) -> None:
        if after_ms == 0:
            self._mailbox.put_nowait(message)
        else:
            asyncio.get_running_loop().call_later(after_ms / 1000, self._mailbox.put_nowait, message)

    async def _start(self, *specs: ChildSpec) -> dict[str, str]:
        """Why those did not start that did not; all were tried at the same time."""
        reasons = await asyncio.gather(*map(self._start_one, specs))
        return {spec.id: why for spec, why in zip(specs, reasons, strict=True) if why is not None}

    async def _start_one(self, spec: ChildSpec) -> str | None:
        try:
            incarnation = await self.wards.start(spec)
        except Ignore as ignored:
            self._log.info("child wants to be left out", child=spec.id, reason=str(ignored))
            self.state = machine.on_ignored(self.state, spec.id)
            return None
        except StartFailed as failed:
            self._log.exception("child did not start", child=spec.id)
            return str(failed)
        self.state = machine.on_started(self.state, spec.id, incarnation)
        return None

    def _refuse_the_rest(self) -> None:
        _refuse(self._up, ClusterError(f"{self._name} ended before it was up", hint="see its log"))
        while not self._mailbox.empty():
            match self._mailbox.get_nowait():
                case Ask(_, answer):
                    _refuse(answer, requests.over())
                case Exit() | Retry() | Turn() | Stop():
                    pass  # what they ask for is done: nothing runs any more

    async def _leave_roster(self) -> None:
        if self.state.phase != "ended" and (left := roster(self.state)) != self._left:
            await rosters.save(self._name, left)
            self._left = left


def _refuse(answer: asyncio.Future[None], error: Exception) -> None:
    """Whoever waits gets `error`; nobody may wait any more."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
