"""Predicates: what an interest asks of the fields of a payload. Data, never code.

Invariants: a predicate on a field that the payload lacks is false; there are no regular expressions, so that its time
is linear in the payload; a store that evaluates one where it routes (route.lua) finds what `holds` finds.

For that last one, letters are compared without their case in ASCII only, and numbers as 64-bit floats: beyond 2^53 two
neighbours are the same number.

Source: spec/04 section 3.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictFloat, StrictInt, StrictStr

MAX_FILTERS = 8
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}$")]
"""Keys of nested objects, joined by dots: `paper.category`."""
Number = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)] | StrictFloat
Scalar = StrictBool | Number | StrictStr | None


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
    """The field is a list with this member, or a text with this text in it, whatever the case of ASCII letters."""

    op: Literal["contains"] = "contains"
    field: FieldPath
    value: Scalar


class Compare(_Shape):
    """The field is a number on this side of `value`."""

    op: Literal["<", "<=", ">", ">="]
    field: FieldPath
    value: Number


Predicate = Annotated[Equals | OneOf | Contains | Compare, Field(discriminator="op")]


def all_hold(predicates: Iterable[Predicate], payload: JsonValue) -> bool:
    """True when `payload` is as every one of `predicates` says."""
    return all(holds(predicate, payload) for predicate in predicates)


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
    if _is_number(value) and _is_number(wanted):
        return float(value) == float(wanted)  # type: ignore[arg-type]
    return type(value) is type(wanted) and value == wanted


def _contains(value: JsonValue, wanted: Scalar) -> bool:
    if isinstance(value, list):
        return any(_same(member, wanted) for member in value)
    return isinstance(value, str) and isinstance(wanted, str) and _lower(wanted) in _lower(value)


def _compares(value: JsonValue, predicate: Compare) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    given, bound = float(value), float(predicate.value)
    match predicate.op:
        case "<":
            return given < bound
        case "<=":
            return given <= bound
        case ">":
            return given > bound
        case ">=":
            return given >= bound
        case _:
            assert_never(predicate.op)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lower(text: str) -> str:
    return text.translate(_LOWER)
