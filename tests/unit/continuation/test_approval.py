"""Approvals fit one action, in one state, under one policy."""

import pytest
from pydantic import JsonValue

from maestro.continuation.approval import binding_of, bound, changed, revision_of
from maestro.continuation.wait import AnyOf, ApprovalResolution, StreamEvent, parts
from maestro.ids import ContinuationId

ME = ContinuationId("0123456789abcdefghjkma-0")
STATE: JsonValue = {"spent": 5, "plan": ["a", "b"]}
ASKED = ApprovalResolution(approval_id="approval-1", action="buy", arguments={"usd": 5, "what": "x"})


def bound_one(asked: ApprovalResolution = ASKED, state: JsonValue = STATE, policy: str = "1") -> ApprovalResolution:
    wait = bound(asked, ME, state, policy)
    assert isinstance(wait, ApprovalResolution)
    return wait


def test_the_binding_covers_action_arguments_state_and_policy() -> None:
    inputs: list[tuple[str, JsonValue, str, str]] = [
        ("buy", {"usd": 5}, "s", "1"),
        ("sell", {"usd": 5}, "s", "1"),
        ("buy", {"usd": 6}, "s", "1"),
        ("buy", {"usd": 5}, "t", "1"),
        ("buy", {"usd": 5}, "s", "2"),
    ]
    assert len({binding_of(*each) for each in inputs}) == len(inputs)
    assert binding_of("buy", {"a": 1, "b": 2}, "s", "1") == binding_of("buy", {"b": 2, "a": 1}, "s", "1"), "canonical"


def test_the_revision_of_a_state_is_its_content() -> None:
    assert revision_of({"a": 1, "b": 2}) == revision_of({"b": 2, "a": 1})
    assert revision_of({"a": 1}) != revision_of({"a": 2})


def test_an_approval_keeps_its_id_while_nothing_changes() -> None:
    first = bound_one()
    assert first.approval_id == "approval-1"
    assert bound_one(first) == first
    assert changed(first, STATE, "1") == ()


@pytest.mark.parametrize(
    ("state", "policy", "told"),
    [({"spent": 6}, "1", ("state",)), (STATE, "2", ("policy",)), (None, "2", ("state", "policy"))],
)
def test_when_something_bound_changes_the_action_is_asked_anew_under_another_id(
    state: JsonValue, policy: str, told: tuple[str, ...]
) -> None:
    first = bound_one()
    assert changed(first, state, policy) == told
    again = bound_one(first, state, policy)
    assert again.approval_id != first.approval_id
    assert again.binding != first.binding
    assert (again.replaces, again.changed) == (first.approval_id, told)
    assert (again.action, again.arguments) == (first.action, first.arguments)


def test_approvals_inside_any_of_are_bound_and_other_waits_are_left_alone() -> None:
    wait = bound(AnyOf(waits=(ASKED, StreamEvent())), ME, STATE, "1")
    assert parts(wait) == (bound_one(), StreamEvent())
