"""Statuses and the moves between them; three axes that are never mixed.

status      what is kept of it           activity    what a person sees           residency  where it is
A fourth word, `hold`, lies across all three: ticks are suspended, with a reason, and it never becomes a status.

Source: spec/01 section 3.
"""

from enum import StrEnum

from maestro.continuation.wait import WaitFor, asks_person
from maestro.errors import ContinuationStateError


class Status(StrEnum):
    PENDING = "pending"
    RESUMING = "resuming"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class Hold(StrEnum):
    """Why ticks are suspended."""

    FROZEN = "frozen"
    QUARANTINED = "quarantined"
    NEEDS_MIGRATION = "needs_migration"
    UNSERVABLE = "unservable"


WANTS_CODE = frozenset({Hold.NEEDS_MIGRATION, Hold.UNSERVABLE})
"""Holds that other code ends: noted beside the checkpoint, which they leave as it is; over at the next adoption."""


class Activity(StrEnum):
    THINKING = "thinking"
    READY = "ready"
    SLEEPING = "sleeping"
    WAITING_ON_YOU = "waiting_on_you"
    DONE = "done"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED, Status.SUPERSEDED})

MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RESUMING, Status.EXPIRED, Status.CANCELLED, Status.SUPERSEDED}),
    Status.RESUMING: frozenset({Status.PENDING, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SUPERSEDED}),
    **{status: frozenset() for status in TERMINAL},
}

STOP_STATUS: dict[str, Status] = {
    "completed": Status.COMPLETED,
    "cancelled_by_user": Status.CANCELLED,
    "cancelled_by_product": Status.CANCELLED,
    "approval_denied": Status.CANCELLED,
    "restarted_with_sibling": Status.CANCELLED,
    "superseded_by_newer_turn": Status.SUPERSEDED,
    "expired_ttl": Status.EXPIRED,
}
"""Stop reason -> status; any other reason means failed (spec/01 section 8)."""


def move(old: Status, new: Status) -> Status:
    """`new`, where that move is legal.

    Raises:
        ContinuationStateError: it is not; nothing has changed.
    """
    if new not in MOVES[old]:
        allowed = ", ".join(sorted(MOVES[old])) or "nothing: it is terminal"
        raise ContinuationStateError(f"no move from {old} to {new}", hint=f"from {old} it can become {allowed}")
    return new


def stop_status(reason: str) -> Status:
    """The status that a stop for `reason` leaves behind."""
    return STOP_STATUS.get(reason, Status.FAILED)


def activity(status: Status, wait: WaitFor | None, hold: Hold | None, held_by: str | None, ready: bool) -> Activity:
    """What a person sees of a continuation."""
    if status in TERMINAL:
        return Activity.DONE
    if held_by:
        return Activity.THINKING
    if hold is not None:
        return Activity.WAITING_ON_YOU
    if ready:
        return Activity.READY
    return Activity.WAITING_ON_YOU if wait is not None and asks_person(wait) else Activity.SLEEPING
