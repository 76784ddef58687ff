"""Waits: why a continuation sleeps, and what ends the sleep.

A wait is a closed union; each member says its wake keys and a sentence that a person reads in `why`.
Expiry of waits, escalation and the bounded-turn checks stand on the same records.

Source: spec/01 section 5.
"""

from collections.abc import Collection
from typing import Annotated, Literal, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from maestro.continuation.mail import Kind
from maestro.ids import ContinuationId, TimeMs


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StreamEvent(_Shape):
    """Until anything arrives: an event it subscribed to, a message, a child's end, a timer."""

    type: Literal["stream_event"] = "stream_event"
    because: str = ""
    """What the behaviour says it waits for, in words for a person."""


class UserReply(_Shape):
    """Until a person answers `question`."""

    type: Literal["user_reply"] = "user_reply"
    question_id: str
    question: str


class ApprovalResolution(_Shape):
    """Until a person approves or denies exactly this action with exactly these arguments."""

    type: Literal["approval_resolution"] = "approval_resolution"
    approval_id: str
    action: str
    arguments: JsonValue = None
    binding: str
    """SHA-256 over action, canonical arguments and the revision that asked: an approval fits nothing else."""


class ExternalResult(_Shape):
    """Until the outcome of `operation_id` is told."""

    type: Literal["external_result"] = "external_result"
    operation_id: str


class ScheduledWake(_Shape):
    """Until `wake_at_ms` on the store's clock."""

    type: Literal["scheduled_wake"] = "scheduled_wake"
    wake_at_ms: TimeMs


class Children(_Shape):
    """Until so many of these children ended."""

    type: Literal["children"] = "children"
    ids: tuple[ContinuationId, ...]
    needed: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if self.needed > len(self.ids):
            raise ValueError(f"{self.needed} of {len(self.ids)} children can never end")
        return self


class BudgetGrant(_Shape):
    """Until somebody grants more of `resource`."""

    type: Literal["budget"] = "budget"
    resource: str
    asked: int = 0
    free: int = 0
    then: "WaitFor | None" = None
    """What it waited for when the money ran out; with the grant it goes on from there."""


class AnyOf(_Shape):
    """Until the first of several."""

    type: Literal["any_of"] = "any_of"
    waits: Annotated[tuple["WaitFor", ...], Field(min_length=1, max_length=16)]


WaitFor = Annotated[
    StreamEvent | UserReply | ApprovalResolution | ExternalResult | ScheduledWake | Children | BudgetGrant | AnyOf,
    Field(discriminator="type"),
]
AnyOf.model_rebuild()
BudgetGrant.model_rebuild()

BUDGET_KEY = "budget"
"""Marks a wait for money; no mail has this key, the store itself tells of a grant."""
WAKE_TIMER = "wake"
"""The timer that a ScheduledWake sets; one per continuation."""
_ANYTHING = tuple(k.value for k in (Kind.EVENT, Kind.MESSAGE, Kind.CHILD, Kind.RESULT, Kind.TIMER, Kind.REPLY))


def wake_keys(wait: WaitFor) -> tuple[str, ...]:
    """The wake keys that end `wait`; control and start mail end every wait."""
    match wait:
        case StreamEvent():
            return _ANYTHING
        case UserReply():
            return (f"{Kind.REPLY}:{wait.question_id}", Kind.MESSAGE.value)
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
            return f"waiting for the result of operation {wait.operation_id}"
        case ScheduledWake():
            return f"asleep until {wait.wake_at_ms} ms on the store's clock"
        case Children():
            return f"waiting for {wait.needed} of {len(wait.ids)} children"
        case BudgetGrant():
            return f"waiting on budget: {wait.asked} {wait.resource} asked, {wait.free} free"
        case AnyOf():
            return ", or ".join(describe(part) for part in wait.waits)
        case _:
            assert_never(wait)


def parts(wait: WaitFor) -> tuple[WaitFor, ...]:
    """The waits inside `wait`, itself if it is simple."""
    return tuple(simple for part in wait.waits for simple in parts(part)) if isinstance(wait, AnyOf) else (wait,)


def asks_person(wait: WaitFor) -> bool:
    """True when only a person can end (a part of) this wait."""
    return any(isinstance(part, UserReply | ApprovalResolution | BudgetGrant) for part in parts(wait))


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
            return Children(ids=ids, needed=needed) if needed > 0 else None
        case UserReply():
            return None if f"{Kind.REPLY}:{wait.question_id}" in arrived else wait
        case StreamEvent() | BudgetGrant():
            return wait
        case ApprovalResolution() | ExternalResult() | ScheduledWake():
            return None if any(key in arrived for key in wake_keys(wait)) else wait
        case _:
            assert_never(wait)
