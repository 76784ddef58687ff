"""Merging two states by the laws of their fields."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from maestro.continuation.checkpoint import ForkedFrom
from maestro.continuation.lineage import common_ancestor
from maestro.continuation.merging import Fields, Merge, MergeBy, Merged, Sides, laws_of, three_way
from maestro.ids import ContinuationId, Rev

ONE = ContinuationId("0123456789abcdefghjkma-0")
VALUES = st.one_of(st.none(), st.integers(0, 3), st.text(max_size=2), st.lists(st.integers(0, 2), max_size=2))
STATES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def merged(base: Fields | None, ours: Fields, theirs: Fields, newer: bool = False, **laws: Merge | MergeBy) -> Merged:
    return three_way(Sides(ONE, ours, theirs, base, newer), laws)


@pytest.mark.parametrize(
    ("law", "base", "ours", "theirs", "outcome"),
    [
        (Merge.SUM, 10, 12, 11, 13),
        (Merge.SUM, 10, 12, 12, 14),
        (Merge.SUM, None, 2, 3, 5),
        (Merge.MAX, 1, 2, 3, 3),
        (Merge.MIN, 5, 4, 3, 3),
        (Merge.UNION, ["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"]),
        (Merge.UNION, None, ["a"], ["a", "b"], ["a", "b"]),
        (Merge.UNION, {"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 3, "b": 1, "c": 4}, {"a": 3, "b": 2, "c": 4}),
        (Merge.CONCAT, "ab", "abX", "abY", "abXY"),
        (Merge.CONCAT, [1], [1, 2], [1, 2], [1, 2, 2]),
        (Merge.OURS, 1, 2, 3, 2),
        (Merge.THEIRS, 1, 2, 3, 3),
        (Merge.LAST, 1, 2, 3, 2),
        (MergeBy(lambda base, ours, theirs: [base, ours, theirs]), 1, 2, 2, [1, 2, 2]),
    ],
)
def test_each_law_has_its_outcome(
    law: Merge | MergeBy, base: JsonValue, ours: JsonValue, theirs: JsonValue, outcome: JsonValue
) -> None:
    was = None if base is None else {"f": base}
    assert merged(was, {"f": ours}, {"f": theirs}, f=law) == Merged({"f": outcome})


def test_the_later_side_wins_where_the_last_word_counts() -> None:
    assert merged({"f": 1}, {"f": 2}, {"f": 3}, newer=True, f=Merge.LAST).state == {"f": 3}


def test_without_a_law_the_side_that_changed_a_field_is_right() -> None:
    assert merged({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}) == Merged({"a": 2, "b": 2})


def test_without_a_law_two_changes_are_a_question_and_nothing_is_lost() -> None:
    outcome = merged({"a": 1}, {"a": 2}, {"a": 3})
    (open_,) = outcome.disagreements
    assert (outcome.state, open_.base, open_.ours, open_.theirs) == ({"a": 2}, 1, 2, 3)
    assert "a is 2 here and 3 there" in open_.question


def test_without_a_base_all_that_differs_is_a_question() -> None:
    assert [open_.field for open_ in merged(None, {"a": 1, "b": 1}, {"a": 1, "b": 2}).disagreements] == ["b"]


@given(STATES, STATES, STATES)
def test_every_value_of_either_side_is_in_the_state_or_in_a_question(
    base: Fields, ours: Fields, theirs: Fields
) -> None:
    outcome = merged(base, ours, theirs)
    open_ = {each.field: each for each in outcome.disagreements}
    for field in ours.keys() | theirs.keys():
        changed_here = field in ours and (field not in base or ours[field] != base[field])
        changed_there = field in theirs and (field not in base or theirs[field] != base[field])
        if changed_here:
            assert outcome.state[field] == ours[field]
        if changed_there and not changed_here:
            assert outcome.state[field] == theirs[field] or field in open_
        if changed_there and changed_here and ours[field] != theirs[field]:
            assert open_[field].theirs == theirs[field]


def test_the_laws_are_those_that_the_state_declares() -> None:
    class State(BaseModel):
        count: Annotated[int, Merge.SUM] = 0
        title: str = ""

    assert laws_of(State) == {"count": Merge.SUM}


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ([("a", 9)], [("b", 3), ("a", 5)], ("a", 5)),
        ([("b", 3), ("a", 5)], [("a", 9)], ("a", 5)),
        ([("b", 3), ("a", 5)], [("c", 3), ("a", 7)], ("a", 5)),
        ([("c", 1), ("b", 2), ("a", 5)], [("d", 1), ("b", 4), ("a", 5)], ("b", 2)),
        ([("a", 1)], [("b", 1)], None),
    ],
)
def test_two_were_one_until_the_earlier_of_them_left(
    ours: list[tuple[str, int]], theirs: list[tuple[str, int]], found: tuple[str, int] | None
) -> None:
    lines = [[ForkedFrom(id=ContinuationId(i), rev=Rev(r)) for i, r in line] for line in (ours, theirs)]
    ancestor = common_ancestor(*lines)
    assert (None if ancestor is None else (ancestor.id, ancestor.rev)) == found
