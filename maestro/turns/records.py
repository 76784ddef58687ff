"""What the bounded-turn API shows and takes: records, harness results, inputs. Values only.

Invariants: a record is a view of a checkpoint, never a copy that is kept; names are snake_case, and camelCase is
accepted on input; times are UTC, with a `Z` in JSON, and integer milliseconds of the store's clock underneath.

Source: spec/01 sections 2, 5, 10, 11.1.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from maestro.continuation.bounds import UNBOUNDED, Bounds
from maestro.continuation.checkpoint import ForkedFrom
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.wait import WaitFor
from maestro.errors import ContinuationInvalidInputError
from maestro.ids import TimeMs
from maestro.turns.triggers import ContinuationResumeTrigger

M = TypeVar("M", bound="Shape")


class Shape(BaseModel):
    """Frozen, closed, and in either spelling on input."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def _snake_keys(value: object) -> object:
    return {to_snake(str(name)): part for name, part in value.items()} if isinstance(value, Mapping) else value


GivenBounds = Annotated[Bounds, BeforeValidator(_snake_keys)]
Payload = dict[str, JsonValue]


class TurnOutcome(StrEnum):
    """What one bounded turn ends with."""

    COMPLETED = "completed"
    FAILED = "failed"
    NEEDS_CLARIFICATION = "needs_clarification"
    AWAITING_APPROVAL = "awaiting_approval"
    DEFERRED = "deferred"


FINAL = frozenset({TurnOutcome.COMPLETED, TurnOutcome.FAILED})
"""Outcomes after which there is nothing to resume."""


class HarnessResult(Shape):
    """What one bounded turn yields."""

    outcome: TurnOutcome
    content: str | None = None
    """What the user is to see of it; None where there is nothing."""
    approval_id: str | None = None
    operation_id: str | None = None
    wake_at: datetime | None = None
    continuation_state: Payload = {}
    metadata: Payload = {}
    usage: Payload = {}
    error: str | None = None

    def named(self, name: str) -> object:
        """What it says of `name`: itself, its metadata or its continuation state, the first that does."""
        own = getattr(self, name, None)
        places = (self.metadata, self.continuation_state)
        found = (place.get(key) for place in places for key in (name, to_camel(name)))
        return own if own is not None else next((value for value in found if value is not None), None)


class DeliveryState(StrEnum):
    NOT_APPLICABLE = "not_applicable"
    PENDING_DELIVERY = "pending_delivery"
    DELIVERED = "delivered"
    SUPPRESSED_SESSION_REENGAGED = "suppressed_session_reengaged"
    SUPPRESSED_SUPERSEDED = "suppressed_superseded"
    SUPPRESSED_EXPIRED = "suppressed_expired"
    DELIVERY_FAILED = "delivery_failed"


class Delivery(Shape):
    """How far the user-visible end of a record has come."""

    state: DeliveryState = DeliveryState.NOT_APPLICABLE
    error: str | None = None
    attempted_at: datetime | None = None
    delivery_id: str | None = None


class ContinuationRecord(Shape):
    """One continuation as this API shows it; those that did not begin as a turn have no ids of a turn."""

    id: str
    assistant_id: str | None = None
    session_id: str | None = None
    origin_turn_id: str | None = None
    status: Status = Status.PENDING
    wait_for: WaitFor | None = None
    expires_at: datetime | None = None
    resume_attempts: int = 0
    max_resume_attempts: int
    delivery: Delivery = Delivery()
    stop_reason: str | None = None
    stop_detail: str | None = None
    state: JsonValue = None
    metadata: Payload = {}
    bounds: GivenBounds = UNBOUNDED
    name: str | None = None
    program: str
    program_version: int = 1
    parent_id: str | None = None
    root_id: str
    forked_from: ForkedFrom | None = None
    children: tuple[str, ...] = ()
    hold: Hold | None = None
    activity: str = ""
    created_at: datetime
    updated_at: datetime
    rev: int = 0
    epoch: int = 0


class ContinuationCreateInput(Shape):
    """A turn that stopped honestly, and not for good."""

    assistant_id: Annotated[str, Field(min_length=1)]
    session_id: Annotated[str, Field(min_length=1)]
    origin_turn_id: Annotated[str, Field(min_length=1)]
    harness_result: HarnessResult
    bounds: GivenBounds = UNBOUNDED
    supersede: bool = False
    """What is still alive of this session ends as superseded."""


class ContinuationCreateResult(Shape):
    continuation: ContinuationRecord


class ContinuationResumeInput(Shape):
    continuation_id: str
    trigger: ContinuationResumeTrigger


class ContinuationResumeResult(Shape):
    continuation: ContinuationRecord
    harness_result: HarnessResult | None
    """None where the harness was not run: the approval was denied."""


class ContinuationStopInput(Shape):
    continuation_id: str
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    children: Literal["stop", "orphan", "adopt"] = "stop"


class ContinuationGetInput(Shape):
    continuation_id: str


def given(shape: type[M], value: M | Mapping[str, Any]) -> M:
    """`value` as a checked input.

    Raises:
        ContinuationInvalidInputError: it is not one; names the first field that is wrong.
    """
    if isinstance(value, shape):
        return value
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(to_snake(str(part)) for part in first["loc"])
        raise ContinuationInvalidInputError(
            f"{field}: {first['msg']}",
            field=field,
            hint="docs/how-to/bounded-turns.md shows what is taken",
            expected=shape.__name__,
            got=repr(first["input"])[:200],
        ) from None


def moment(at_ms: int) -> datetime:
    """A time of the store's clock as people and JSON write it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def milliseconds(at: datetime) -> TimeMs:
    return TimeMs(round(at.timestamp() * 1000))
