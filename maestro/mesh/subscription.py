"""Subscriptions: a standing wish for events, and the pure function that says which wishes an event meets.

Invariants: `match` neither waits nor fails; a predicate that asks for a field which the payload lacks is simply false.
A filter is data, never code; there are no regular expressions, so that its time is linear in the payload.

What is not here: whether an event is relevant to a goal. That is scored elsewhere, when the event arrives.

Source: spec/04 section 3.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, assert_never

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
)

from maestro.ids import TimeMs
from maestro.mesh.event import Event
from maestro.mesh.subject import check_pattern, matches

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}$")]
"""Keys of nested objects, joined by dots: `paper.category`."""
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Equals(_Shape):
    """The field has exactly this value; true is not 1."""

    op: Literal["=="] = "=="
    field: FieldPath
    value: Scalar


class OneOf(_Shape):
    """The field has one of these values."""

    op: Literal["in"] = "in"
    field: FieldPath
    values: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=256)]


class Contains(_Shape):
    """The field is a list with this member, or a text with this text in it, whatever the case of letters."""

    op: Literal["contains"] = "contains"
    field: FieldPath
    value: Scalar


class Compare(_Shape):
    """The field is a number on this side of `value`."""

    op: Literal["<", "<=", ">", ">="]
    field: FieldPath
    value: StrictInt | StrictFloat


Predicate = Annotated[Equals | OneOf | Contains | Compare, Field(discriminator="op")]


class Subscription(_Shape):
    """One wish: by subject, perhaps by content, perhaps only above a relevance to the subscriber's goal."""

    schema_version: Literal[1] = 1
    id: Annotated[str, Field(min_length=1, max_length=128)]
    pattern: str
    relevance: Annotated[float, Field(ge=0, le=1)] | None = None
    filter: Predicate | None = None
    created_ms: TimeMs

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        return check_pattern(pattern)


def match(subscriptions: Iterable[Subscription], event: Event) -> list[Subscription]:
    """Those of `subscriptions` that `event` meets, in their order."""
    return [
        wish
        for wish in subscriptions
        if matches(wish.pattern, event.subject) and (wish.filter is None or holds(wish.filter, event.payload))
    ]


def holds(predicate: Predicate, payload: JsonValue) -> bool:
    """True when the field of `payload` that `predicate` names is there and is as it says."""
    found, value = _look_up(payload, predicate.field)
    if not found:
        return False
    match predicate:
        case Equals():
            return _same(value, predicate.value)
        case OneOf():
            return any(_same(value, wanted) for wanted in predicate.values)
        case Contains():
            return _contains(value, predicate.value)
        case Compare():
            return _compares(value, predicate)
        case _:
            assert_never(predicate)


def _look_up(payload: JsonValue, path: str) -> tuple[bool, JsonValue]:
    value = payload
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _same(value: JsonValue, wanted: Scalar) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _contains(value: JsonValue, wanted: Scalar) -> bool:
    if isinstance(value, list):
        return any(_same(member, wanted) for member in value)
    return isinstance(value, str) and isinstance(wanted, str) and wanted.casefold() in value.casefold()


def _compares(value: JsonValue, predicate: Compare) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    match predicate.op:
        case "<":
            return value < predicate.value
        case "<=":
            return value <= predicate.value
        case ">":
            return value > predicate.value
        case ">=":
            return value >= predicate.value
        case _:
            assert_never(predicate.op)
