"""May this trigger resume this continuation? Six checks, in their order.

Pure. Invariants: the first check that fails speaks; none changes anything. What follows a failure (an expiry is
committed, a lineage without attempts left is stopped) is done by whoever asked.
The first check, that the record exists, is its reader's.

Source: spec/01 section 5.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control, Kind, Mail, wakes
from maestro.continuation.wait import BUDGET_KEY, Simple, UserReply, correlation_of, parts, wake_keys
from maestro.errors import (
    ContinuationAlreadyTerminalError,
    ContinuationBusyError,
    ContinuationExpiredError,
    ContinuationTriggerMismatchError,
    MaestroError,
    ResumeAttemptsExhausted,
)
from maestro.ids import TimeMs

MAX_ATTEMPTS_EXCEEDED = "max_attempts_exceeded"


def check(checkpoint: Checkpoint, busy: bool, attempts: int, trigger: Mail, now_ms: TimeMs) -> Simple:
    """The part of the open wait that `trigger` ends.

    Args:
        busy: a tick is under way, so that the status is `resuming`.
        attempts: how many attempts this turn lineage has had.

    Raises:
        ContinuationAlreadyTerminalError: it has ended; ContinuationBusyError: it is busy now, later it may be not.
        ContinuationExpiredError: the wait's time is over.
        ContinuationTriggerMismatchError: it waits for another kind of thing, or for another one of this kind.
        ResumeAttemptsExhausted: this lineage has had all its attempts.
    """
    about = _Refusal(checkpoint)
    if checkpoint.terminal:
        done = f"{checkpoint.id} is {checkpoint.status}, and nothing resumes it"
        raise about.error(ContinuationAlreadyTerminalError, done, Status.PENDING.value, checkpoint.status.value)
    if busy or checkpoint.wait is None:
        under_way = f"{checkpoint.id} is in the middle of a tick: try again when it sleeps"
        raise about.error(ContinuationBusyError, under_way, Status.PENDING.value, Status.RESUMING.value)
    expires_at_ms = checkpoint.expires_at_ms
    if expires_at_ms is not None and now_ms >= expires_at_ms:
        late = f"{checkpoint.id} waited until {expires_at_ms} ms on the store's clock, and it is {now_ms}"
        raise about.error(ContinuationExpiredError, late, f"before {expires_at_ms}", now_ms)
    part = _matched(about, parts(checkpoint.wait), trigger)
    most = checkpoint.bounds.max_resume_attempts
    if attempts >= most:
        often = f"{checkpoint.id} has been resumed {attempts} times in a row, and may be {most} times"
        raise about.error(ResumeAttemptsExhausted, often, f"fewer than {most}", attempts, "bounds.max_resume_attempts")
    return part


def trigger_type(kind: Kind) -> str:
    """The type of the wait that mail of this kind is meant for, in the words of the waits."""
    return _TYPES.get(kind, "stream_event")


def accepts(part: Simple, trigger: Mail) -> bool:
    """True when `trigger` is of the type that `part` waits for, whatever it is about."""
    if trigger.kind is Kind.CONTROL:
        return trigger.subject == Control.GRANTED and BUDGET_KEY in wake_keys(part)
    return any(key.partition(":")[0] == trigger.kind for key in wake_keys(part))


_TYPES = {
    Kind.REPLY: "user_reply",
    Kind.APPROVAL: "approval_resolution",
    Kind.RESULT: "external_result",
    Kind.TIMER: "scheduled_wake",
    Kind.CHILD: "children",
    Kind.CONTROL: "budget",
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The errors of one check: each names the continuation, its status, what was expected and what came."""

    of: Checkpoint

    def error(
        self, kind: type[MaestroError], message: str, expected: object, got: object, field: str | None = None
    ) -> MaestroError:
        hint = f"see `maestro why {self.of.id}`"
        status = Status.RESUMING.value if kind is ContinuationBusyError else self.of.status.value
        return kind(message, field=field, hint=hint, id=self.of.id, status=status, expected=expected, got=got)


def _matched(about: _Refusal, waits: Sequence[Simple], trigger: Mail) -> Simple:
    """The part that `trigger` ends: first by type, then by what it is about."""
    of_type = [part for part in waits if accepts(part, trigger)]
    if not of_type:
        asked, got = " or ".join(dict.fromkeys(part.type for part in waits)), trigger_type(trigger.kind)
        other = f"{about.of.id} waits for {asked}, not for {got}"
        raise about.error(ContinuationTriggerMismatchError, other, asked, got, "trigger.type")
    for part in of_type:
        unnamed = isinstance(part, UserReply) and trigger.correlation is None
        if unnamed or trigger.kind is Kind.CONTROL or wakes(wake_keys(part), trigger.wake_key):
            return part
    named = " or ".join(correlation_of(part) or ", ".join(wake_keys(part)) for part in of_type)
    other = f"{about.of.id} waits for {named}, not for {trigger.correlation}"
    raise about.error(ContinuationTriggerMismatchError, other, named, trigger.correlation, "trigger.correlation")
