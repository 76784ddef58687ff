"""The difference between two states, as the log keeps it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from maestro.continuation.patch import apply, diff

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(["a", "b", "c", "", "a.b", "0"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def canonical(value: JsonValue) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@given(OBJECTS, OBJECTS)
def test_applied_to_the_old_it_gives_exactly_the_new(before: dict[str, JsonValue], after: dict[str, JsonValue]) -> None:
    assert canonical(apply(before, diff(before, after))) == canonical(after)


@given(OBJECTS, OBJECTS)
def test_the_old_stays_as_it_was(before: dict[str, JsonValue], after: dict[str, JsonValue]) -> None:
    old = canonical(before)
    apply(before, diff(before, after))
    assert canonical(before) == old


@given(OBJECTS, OBJECTS)
def test_it_survives_being_written_down(before: dict[str, JsonValue], after: dict[str, JsonValue]) -> None:
    written = orjson.loads(orjson.dumps(diff(before, after)))
    assert canonical(apply(before, written)) == canonical(after)


@given(OBJECTS)
def test_of_equals_it_is_empty(value: dict[str, JsonValue]) -> None:
    assert diff(value, orjson.loads(canonical(value))) == []


def test_it_names_only_what_changed() -> None:
    before: dict[str, JsonValue] = {"state": {"n": 1, "padding": "x" * 1000}, "gone": 1}
    after: dict[str, JsonValue] = {"state": {"n": 2, "padding": "x" * 1000}, "new": [1]}
    assert diff(before, after) == [[["gone"]], [["new"], [1]], [["state", "n"], 2]]


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.0), (None, False), ("1", 1), ([1], [True])])
def test_what_python_takes_for_equal_is_not(old: JsonValue, new: JsonValue) -> None:
    assert diff({"k": old}, {"k": new}) == [[["k"], new]]


def test_what_is_no_patch_is_refused() -> None:
    with pytest.raises(TypeError, match="no part of a patch"):
        apply({}, ["nonsense"])
