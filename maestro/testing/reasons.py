"""Nobody is in limbo: whenever all stand still, each continuation has a living lease, a wake source or a reason (I9).

A reading of its own, from the rows of the store and the waits of the checkpoints, not by the code that decides wakes:
so a lost wake shows, at the moment when it is lost.
Invariant: every change is looked at before time passes; what did not change is not looked at again.
"""

from collections import Counter
from collections.abc import Collection, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from maestro.adapters.memory.records import MemoryRecords
from maestro.adapters.memory.state import Memory, PartitionState, Row
from maestro.adapters.memory.waking import RETRY, WINDOW, window_of
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.expiry import watched_until
from maestro.continuation.lifecycle import TERMINAL, WANTS_CODE
from maestro.continuation.mail import Kind, Mail, wakes
from maestro.continuation.wait import (
    TTL_TIMER,
    ApprovalResolution,
    BudgetGrant,
    Children,
    ScheduledWake,
    StreamEvent,
    UserReply,
    WaitFor,
    parts,
    wake_keys,
)
from maestro.errors import MaestroError
from maestro.ids import ContinuationId, TenantId
from maestro.pane import views

T = TypeVar("T")

ASKED = (UserReply, ApprovalResolution, BudgetGrant)


@dataclass(slots=True)
class Watch:
    """Looks at every continuation whenever something has changed and nothing more happens at this moment."""

    memory: Memory
    seal: Seal
    tenant: TenantId
    wrong: list[str]
    """Where it writes what it finds."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Every reason that was seen, and for how many changes: what was never reached was never shown."""
    _seen: dict[ContinuationId, object] = field(default_factory=dict)

    def look(self) -> None:
        for state in self.memory.partitions:
            for row in state.rows.values():
                looks = _looks(state, row)
                if self._seen.get(row.cid) != looks:
                    self._seen[row.cid] = looks
                    self.wrong += [f"I9: {row.cid} {what}" for what in self._limbo(state, row)]

    def _limbo(self, state: PartitionState, row: Row) -> Iterator[str]:
        glance = _at_once(MemoryRecords(self.memory).glance(row.cid))
        assert glance is not None  # noqa: S101 - it is a row of this memory
        try:
            view = views.opened(glance, self.seal, self.tenant)
        except MaestroError as error:
            yield f"cannot be opened: {error}"
            return
        told = views.why(view)
        if not told.strip():
            yield "has no reason to tell"
        reason = _reason(state, row, view.checkpoint)
        self.reasons[reason] += 1
        yield from _contradictions(state, row, view.checkpoint, reason, told)


def _reason(state: PartitionState, row: Row, checkpoint: Checkpoint) -> str:
    """What keeps it as it is, in one word."""
    if row.terminal:
        return "done"
    if row.tenure.holder is not None:
        return "held"
    if row.cid in state.ready[row.pool]:
        return "ready"
    if row.vigil.frozen:
        return "frozen"
    if row.tenure.error is not None and row.vigil.hold not in WANTS_CODE:
        return "tried again"
    if row.vigil.hold is not None:
        return f"on hold, {row.vigil.hold.value}"
    if checkpoint.wait is None:
        return "limbo"
    return " or ".join(dict.fromkeys(part.type for part in parts(checkpoint.wait)))


def _contradictions(state: PartitionState, row: Row, checkpoint: Checkpoint, reason: str, told: str) -> Iterator[str]:
    """What is said of it, against what the store would do."""
    ready = row.cid in state.ready[row.pool]
    match reason:
        case "done":
            goes_on = row.tenure.holder or ready or row.mail or row.controls or row.vigil.timers or row.vigil.interests
            if goes_on or row.cid in state.waiting:
                yield f"is done, and something of it goes on: {told}"
            return
        case "held":
            if ready or row.tenure.holder not in state.leases:
                yield f"is held by {row.tenure.holder}, which nobody will miss"
        case "tried again":
            if (row.cid, RETRY) not in state.timers:
                yield f"shall be tried again, and nothing will: {told}"
        case "limbo":
            yield f"is stranded: {told}"
        case "ready":
            pass
        case "frozen":
            later = row.vigil.owed or (row.cid, RETRY) in state.timers
            if (mail := _waker(state, row, checkpoint)) is not None and not later:
                yield f"will not wake when it is thawed, though {mail.id} is unread"
        case _:
            yield from _asleep(state, row, checkpoint, told)
    yield from _without_timer(state, row, checkpoint)


def _asleep(state: PartitionState, row: Row, checkpoint: Checkpoint, told: str) -> Iterator[str]:
    """Nothing that has come wakes it, and something that will come can."""
    mail = _waker(state, row, checkpoint)
    if mail is not None:
        yield f"sleeps on, though {mail.id} is unread: {told}"
    if row.vigil.hold is not None:
        if row.cid not in state.waiting:
            yield f"is on hold, and nobody is told: {told}"
        return
    if watched_until(checkpoint.wait) and (row.cid, TTL_TIMER) not in state.timers:
        yield f"waits for so long and no longer, and nothing will end it: {told}"
    for part in parts(checkpoint.wait) if checkpoint.wait is not None else ():
        if isinstance(part, ASKED) and row.cid not in state.waiting:
            yield f"waits for a person who is not told: {told}"
        if isinstance(part, Children) and part.needed > _may_end(checkpoint, part.ids):
            yield f"waits for more children than live: {told}"


def _waker(state: PartitionState, row: Row, checkpoint: Checkpoint) -> Mail | None:
    """Unread mail that should have woken it: no events that are being collected, while the collecting goes on."""
    if row.controls:
        return row.controls[0]
    if row.vigil.hold is not None:
        return None
    if checkpoint.wait is None:
        return next((mail for mail in row.mail if mail.kind is Kind.START), None)
    keys, joins = wake_keys(checkpoint.wait), _joins(checkpoint.wait)
    wakers = [mail for mail in row.mail if mail.kind is not Kind.START and wakes(keys, mail.wake_key)]
    ends = [mail for mail in wakers if mail.kind is Kind.CHILD]
    if joins and len(ends) < joins:
        wakers = [mail for mail in wakers if mail.kind is not Kind.CHILD]
    collects = (row.cid, WINDOW) in state.timers
    return next((mail for mail in wakers if not (collects and window_of(row, mail))), None)


def _joins(wait: WaitFor) -> int:
    """How many ends of children wake it together; 0 where the first does."""
    simple = parts(wait)
    if any(isinstance(part, StreamEvent) for part in simple):
        return 0
    return next((part.needed for part in simple if isinstance(part, Children)), 0)


def _may_end(checkpoint: Checkpoint, ids: Collection[ContinuationId]) -> int:
    """How many of these children have an end that it has not read of."""
    return sum(child not in checkpoint.children or checkpoint.children[child].status not in TERMINAL for child in ids)


def _without_timer(state: PartitionState, row: Row, checkpoint: Checkpoint) -> Iterator[str]:
    """Every moment that it waits for stands in the timers, or has come as mail that it has not read."""
    fired = {mail.correlation for mail in row.mail if mail.kind is Kind.TIMER}
    waits = parts(checkpoint.wait) if checkpoint.wait is not None else ()
    if row.rev == 0:
        return  # a fork is born with timers that its first tick sets
    for timer in checkpoint.timers:
        if (row.cid, timer) not in state.timers and timer not in fired:
            yield f"waits for timer {timer!r}, which nobody keeps"
    if any(isinstance(part, ScheduledWake) for part in waits) and "wake" not in checkpoint.timers:
        yield "waits for a moment, and has no timer for it"


def _looks(state: PartitionState, row: Row) -> object:
    """All that the checks above depend on, cheap to compare."""
    tenure, vigil = row.tenure, row.vigil
    return (
        id(row.checkpoint),
        (row.rev, tenure.epoch, tenure.holder, tenure.error, tenure.holder in state.leases),
        (row.cid in state.ready[row.pool], vigil.frozen, vigil.owed, vigil.hold, len(vigil.timers)),
        (len(row.mail), len(row.controls), row.cid in state.waiting),
    )


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which waits for nothing: no method of a store in memory does."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise AssertionError("a store in memory has waited")
