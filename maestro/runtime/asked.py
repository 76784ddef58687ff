"""What a continuation asks of people, as somebody is about to answer it: is it still asked, and is it still the same?

Pure. Invariant: a word that would not count is refused here, with what is asked instead; one that was accepted counts,
unless what it is bound to changes before it is read.
"""

from typing import TypeVar

from maestro.continuation.approval import changed
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.wait import ApprovalResolution, Simple, UserReply, parts
from maestro.errors import (
    Conflict,
    ContinuationAlreadyTerminalError,
    ContinuationExpiredError,
    ContinuationTriggerMismatchError,
)
from maestro.ids import TimeMs

P = TypeVar("P", UserReply, ApprovalResolution)


def question_of(checkpoint: Checkpoint, now_ms: TimeMs) -> UserReply:
    """The question that is open.

    Raises:
        ContinuationAlreadyTerminalError, ContinuationExpiredError: it is asked no more.
        ContinuationTriggerMismatchError: none is asked.
    """
    question = next((part for part in _open(checkpoint) if isinstance(part, UserReply)), None)
    if question is None and checkpoint.disagreements:
        first = checkpoint.disagreements[0]
        return UserReply(question_id=first.question_id, question=first.question)
    if question is None:
        raise ContinuationTriggerMismatchError(
            f"{checkpoint.id} asks nothing",
            field="id",
            hint=f"see `maestro why {checkpoint.id}`",
            id=checkpoint.id,
            status=checkpoint.status.value,
            expected=_types(checkpoint),
            got="user_reply",
        )
    return _in_time(checkpoint, question, now_ms)


def approval_of(checkpoint: Checkpoint, approval_id: str, now_ms: TimeMs, policy_version: str) -> ApprovalResolution:
    """The open approval whose id begins with `approval_id`, bound to what is so now.

    Raises:
        ContinuationAlreadyTerminalError, ContinuationExpiredError: it is asked no more.
        Conflict: something that it was bound to has changed; says what.
        ContinuationTriggerMismatchError: no such approval is asked.
    """
    approvals = [part for part in _open(checkpoint) if isinstance(part, ApprovalResolution)]
    for part in approvals:
        if part.approval_id.startswith(approval_id):
            _check_binding(checkpoint, part, policy_version)
            return _in_time(checkpoint, part, now_ms)
        if part.replaces is not None and part.replaces.startswith(approval_id):
            raise _stale(checkpoint, part.replaces, part.changed, part.approval_id)
    waiting = ", ".join(part.approval_id for part in approvals) or "none"
    raise ContinuationTriggerMismatchError(
        f"{checkpoint.id} waits for no approval {approval_id}",
        field="approval",
        hint=f"open: {waiting}",
        id=checkpoint.id,
        status=checkpoint.status.value,
        expected=waiting,
        got=approval_id,
    )


def _check_binding(checkpoint: Checkpoint, part: ApprovalResolution, policy_version: str) -> None:
    told = changed(part, checkpoint.state, policy_version)
    if told:
        raise _stale(checkpoint, part.approval_id, told, None)


def _stale(checkpoint: Checkpoint, approval_id: str, told: tuple[str, ...], asked_as: str | None) -> Conflict:
    return Conflict(
        f"{approval_id} fits no more: since it was asked, {' and '.join(f'the {name}' for name in told)} changed",
        field="approval",
        hint="look again: it is asked anew, " + (f"as {asked_as}" if asked_as else "see `maestro waits`"),
        id=checkpoint.id,
        status=checkpoint.status.value,
        changed=list(told),
        asked_as=asked_as,
    )


def _open(checkpoint: Checkpoint) -> tuple[Simple, ...]:
    if checkpoint.terminal:
        raise ContinuationAlreadyTerminalError(
            f"{checkpoint.id} is {checkpoint.status}, and asks nothing any more",
            hint=f"see `maestro show {checkpoint.id}`",
            id=checkpoint.id,
            status=checkpoint.status.value,
            expected="pending",
            got=checkpoint.status.value,
        )
    return () if checkpoint.wait is None else parts(checkpoint.wait)


def _in_time(checkpoint: Checkpoint, part: P, now_ms: TimeMs) -> P:
    if part.expires_at_ms is not None and now_ms >= part.expires_at_ms:
        raise ContinuationExpiredError(
            f"{checkpoint.id} waited for that until {part.expires_at_ms} ms on the store's clock, and it is {now_ms}",
            hint=f"see `maestro why {checkpoint.id}`",
            id=checkpoint.id,
            status=checkpoint.status.value,
            expected=f"before {part.expires_at_ms}",
            got=now_ms,
        )
    return part


def _types(checkpoint: Checkpoint) -> str:
    return " or ".join(part.type for part in _open(checkpoint)) or "nothing"
