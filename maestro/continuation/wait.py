"""Waits: why a continuation sleeps, and what ends the sleep.

A wait is a closed union; each member says its wake keys and a sentence that a person reads in `why`.
Invariants: the commit that begins a wait stamps on it when it opened and when it expires; one that goes on over a tick
keeps its stamps.
When waits expire stands in `expiry`, who may end them in `resume`, what an approval is bound to in `approval`.

Source: spec/01 section 5.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Literal, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from maestro.budget.vector import HUMAN_APPROVALS, HUMAN_REVIEWS
from maestro.continuation.bounds import positive
from maestro.continuation.mail import Kind
from maestro.ids import ContinuationId, TimeMs


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


OnTimeout = Literal["expire", "escalate", "resume"]
"""What becomes of a wait that nobody ended in time: the continuation expires, somebody else is asked and there is more
time, or the behaviour's `on_timeout` runs."""
OnApprovalTimeout = Literal["expire", "escalate", "resume", "approve", "deny"]


class _Timed(_Shape):
    """What every wait may be told about time, and what the commit that opened it has stamped on it."""

    ttl_ms: int | None = None
    """How long it may last, in place of the record's bounds and of the defaults."""
    on_timeout: OnTimeout = "expire"
    escalate_to: tuple[str, ...] = ()
    """Who is told when it escalates: ids of continuations, or names of people; nobody named means the parent, and
    without one whoever looks at `maestro waits`."""
    opened_ms: TimeMs | None = None
    expires_at_ms: TimeMs | None = None
    escalated: int = 0
    """How often it has been escalated."""

    @field_validator("ttl_ms", mode="before")
    @classmethod
    def _check_ttl(cls, value: object) -> object:
        return positive(value, "wait.ttl_ms")


class Interruption(_Shape):
    """The effect in whose midst a person is asked; the answer goes on with that tick, before any other mail."""

    call_id: str
    then: "WaitFor | None" = None
    """What the continuation had waited for."""


class StreamEvent(_Timed):
    """Until anything arrives: an event it subscribed to, a message, a child's end, a timer."""

    type: Literal["stream_event"] = "stream_event"
    because: str = ""
    """What the behaviour says it waits for, in words for a person."""


class UserReply(_Timed):
    """Until a person answers `question`."""

    type: Literal["user_reply"] = "user_reply"
    question_id: str
    question: str
    interrupts: Interruption | None = None


class ApprovalResolution(_Timed):
    """Until a person approves or denies exactly this action with exactly these arguments."""

    type: Literal["approval_resolution"] = "approval_resolution"
    approval_id: str
    action: str
    arguments: JsonValue = None
    binding: str = ""
    """SHA-256 over action, canonical arguments, state revision and policy version: an approval fits nothing else."""
    state_revision: str = ""
    """The hash of the state that the action was asked for in."""
    policy_version: str = ""
    on_timeout: OnApprovalTimeout = "expire"  # type: ignore[assignment]  # the only wait that a timeout may decide
    on_denied: Literal["end", "resume"] = "end"
    """Denied, the continuation ends as cancelled without a line of its code; or `on_approval` sees the denial."""
    approvers: tuple[str, ...] = ()
    """Who is notified, by the notifier of this installation."""
    notified: str | None = None
    """How that went: `told`, or `failed: ...`; None where there is no notifier, or it has not been tried yet."""
    replaces: str | None = None
    """The approval that this one took the place of, because something that it was bound to changed."""
    changed: tuple[str, ...] = ()
    """What had changed then: state, policy."""
    interrupts: Interruption | None = None


class ExternalResult(_Timed):
    """Until the outcome of `operation_id` is told."""

    type: Literal["external_result"] = "external_result"
    operation_id: str
    because: str = ""
    """What works on it, in words for a person."""
    interrupts: Interruption | None = None


class ScheduledWake(_Timed):
    """Until `wake_at_ms` on the store's clock."""

    type: Literal["scheduled_wake"] = "scheduled_wake"
    wake_at_ms: TimeMs


class Children(_Timed):
    """Until so many of these children ended."""

    type: Literal["children"] = "children"
    ids: tuple[ContinuationId, ...]
    needed: Annotated[int, Field(ge=1)]
    because: str = ""
    """What they do for it, in words for a person."""
    interrupts: Interruption | None = None

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if self.needed > len(self.ids):
            raise ValueError(f"{self.needed} of {len(self.ids)} children can never end")
        return self


class BudgetGrant(_Timed):
    """Until somebody grants more of `resource`."""

    type: Literal["budget"] = "budget"
    resource: str
    asked: int = 0
    free: int = 0
    then: "WaitFor | None" = None
    """What it waited for when the money ran out, or would ask a person: with the grant it goes on from there."""


class AnyOf(_Shape):
    """Until the first of several."""

    type: Literal["any_of"] = "any_of"
    waits: Annotated[tuple["WaitFor", ...], Field(min_length=1, max_length=16)]


WaitFor = Annotated[
    StreamEvent | UserReply | ApprovalResolution | ExternalResult | ScheduledWake | Children | BudgetGrant | AnyOf,
    Field(discriminator="type"),
]
Simple = StreamEvent | UserReply | ApprovalResolution | ExternalResult | ScheduledWake | Children | BudgetGrant
"""A wait that is none of several."""
for _shape in (Interruption, UserReply, ApprovalResolution, ExternalResult, Children, AnyOf, BudgetGrant):
    _shape.model_rebuild()

BUDGET_KEY = "budget"
"""Marks a wait for money; no mail has this key, the store itself tells of a grant."""
WAKE_TIMER = "wake"
"""The timer that a ScheduledWake sets; one per continuation."""
TTL_TIMER = "!ttl"
"""The timer by which the store makes ready whose wait or deadline may be over; it brings no mail, and no user timer can
have its name."""
_ANYTHING = tuple(
    kind.value for kind in (Kind.EVENT, Kind.MESSAGE, Kind.CHILD, Kind.DOWN, Kind.RESULT, Kind.TIMER, Kind.REPLY)
)


def wake_keys(wait: WaitFor) -> tuple[str, ...]:
    """The wake keys that end `wait`; control and start mail end every wait."""
    match wait:
        case StreamEvent():
            return _ANYTHING
        case UserReply():
            reply = f"{Kind.REPLY}:{wait.question_id}"
            return (reply, Kind.MESSAGE.value) if wait.interrupts is None else (reply,)
        case ApprovalResolution():
            return (f"{Kind.APPROVAL}:{wait.approval_id}",)
        case ExternalResult():
            return (f"{Kind.RESULT}:{wait.operation_id}",)
        case ScheduledWake():
            return (f"{Kind.TIMER}:{WAKE_TIMER}",)
        case Children():
            return tuple(f"{Kind.CHILD}:{child}" for child in wait.ids)
        case BudgetGrant():
            return (BUDGET_KEY,)
        case AnyOf():
            return tuple(dict.fromkeys(key for part in wait.waits for key in wake_keys(part)))
        case _:
            assert_never(wait)


def describe(wait: WaitFor) -> str:
    """Why it sleeps, in words for a person."""
    match wait:
        case StreamEvent():
            return wait.because or "asleep until an event, a message, a timer or a child's end"
        case UserReply():
            return f"waiting for your answer to: {wait.question}"
        case ApprovalResolution():
            return f"waiting for your approval {wait.approval_id}: {wait.action}"
        case ExternalResult():
            return wait.because or f"waiting for the result of operation {wait.operation_id}"
        case ScheduledWake():
            return f"asleep until {wait.wake_at_ms} ms on the store's clock"
        case Children():
            return wait.because or f"waiting for {wait.needed} of {len(wait.ids)} children"
        case BudgetGrant():
            return f"waiting on budget: {wait.asked} {wait.resource} asked, {wait.free} free"
        case AnyOf():
            return ", or ".join(describe(part) for part in wait.waits)
        case _:
            assert_never(wait)


def parts(wait: WaitFor) -> tuple[Simple, ...]:
    """The waits inside `wait`, itself if it is simple."""
    return tuple(simple for part in wait.waits for simple in parts(part)) if isinstance(wait, AnyOf) else (wait,)


def mapped(wait: WaitFor, change: Callable[[Simple], WaitFor]) -> WaitFor:
    """`wait` with each simple wait in it changed."""
    if isinstance(wait, AnyOf):
        return wait.model_copy(update={"waits": tuple(mapped(part, change) for part in wait.waits)})
    return change(wait)


def asks_person(wait: WaitFor) -> bool:
    """True when only a person can end (a part of) this wait, or it was escalated for want of anybody who did."""
    return any(
        isinstance(part, UserReply | ApprovalResolution | BudgetGrant) or part.escalated > 0 for part in parts(wait)
    )


def human_resource(wait: WaitFor) -> str | None:
    """The resource of which opening this wait takes one unit: the attention of a person."""
    match wait:
        case ApprovalResolution():
            return HUMAN_APPROVALS
        case UserReply():
            return HUMAN_REVIEWS
        case _:
            return None


def awaits_attention(wait: WaitFor) -> bool:
    """True when this simple wait is for a grant of human attention: its question was not asked yet."""
    return isinstance(wait, BudgetGrant) and wait.resource in (HUMAN_APPROVALS, HUMAN_REVIEWS)


def correlation_of(wait: WaitFor) -> str | None:
    """What mail must name to end this simple wait; None where it need not name anything."""
    match wait:
        case UserReply():
            return wait.question_id
        case ApprovalResolution():
            return wait.approval_id
        case ExternalResult():
            return wait.operation_id
        case _:
            return None


def join_count(wait: WaitFor) -> int:
    """How many ends of children this wait still needs; 0 when the first child's end (if any) wakes."""
    if any(isinstance(part, StreamEvent) for part in parts(wait)):
        return 0
    return next((part.needed for part in parts(wait) if isinstance(part, Children)), 0)


def left(wait: WaitFor, arrived: Collection[str], living: Collection[ContinuationId]) -> WaitFor | None:
    """What is still to be waited for, None when nothing is: a wait that is over must not be waited for again.

    Args:
        arrived: wake keys of the mail that was read meanwhile.
        living: the children that have not ended.
    """
    match wait:
        case AnyOf():
            still = [part for simple in parts(wait) if (part := left(simple, arrived, living)) is not None]
            return AnyOf(waits=tuple(still)) if len(still) > 1 else next(iter(still), None)
        case Children():
            ids = tuple(child for child in wait.ids if child in living)
            needed = wait.needed - (len(wait.ids) - len(ids))
            return wait.model_copy(update={"ids": ids, "needed": needed}) if needed > 0 else None
        case UserReply():
            return None if f"{Kind.REPLY}:{wait.question_id}" in arrived else wait
        case StreamEvent() | BudgetGrant():
            return wait
        case ApprovalResolution() | ExternalResult() | ScheduledWake():
            return None if any(key in arrived for key in wake_keys(wait)) else wait
        case _:
            assert_never(wait)
