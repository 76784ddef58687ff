"""GoalFrame: PROMISES B13, each refusal with its own words."""

import pytest
from pydantic import ValidationError

from maestro.continuation.goal import MAX_GOAL_CHARS, MAX_LINES, GoalFrame
from maestro.errors import InvalidInput


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("", "goal is empty"),
        (" \n\t ", "goal is empty"),
        ("x" * (MAX_GOAL_CHARS + 1), "goal has 10001 characters, at most 10000 are taken"),
        ("find\x00papers", "goal contains a NUL character"),
    ],
)
def test_an_unfit_goal_is_refused_with_its_own_words(goal: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        GoalFrame(goal=goal)
    assert caught.value.message == message
    assert caught.value.field == "goal"
    assert caught.value.hint


def test_the_longest_goal_is_taken() -> None:
    assert len(GoalFrame(goal="x" * MAX_GOAL_CHARS).goal) == MAX_GOAL_CHARS


def test_an_empty_line_is_named_by_its_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        GoalFrame(goal="g", constraints=("cheap", "  "))
    assert caught.value.field == "constraints.1"


@pytest.mark.parametrize("field", ["constraints", "questions", "keywords"])
def test_too_many_lines_are_refused(field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        GoalFrame.model_validate({"goal": "g", field: ["line"] * (MAX_LINES + 1)})
    assert caught.value.field == field


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="goals"):
        GoalFrame.model_validate({"goal": "g", "goals": "typo"})


def test_a_changed_goal_is_the_next_version_and_keeps_the_rest() -> None:
    frame = GoalFrame(goal="one", keywords=("k",))
    changed = frame.changed("two")
    assert (changed.goal, changed.version, changed.keywords) == ("two", 2, ("k",))
    assert frame.version == 1
    with pytest.raises(InvalidInput):
        frame.changed(" ")


def test_the_text_of_a_frame_begins_with_the_goal() -> None:
    frame = GoalFrame(goal="a", constraints=("b",), questions=("c",), keywords=("d",))
    assert frame.text == "a\nb\nc\nd"
