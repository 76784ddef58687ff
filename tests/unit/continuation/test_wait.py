"""Waits: each says what ends it, why it sleeps, and what is left of it when something came."""

from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from maestro.continuation.directive import Sleep, Wait
from maestro.continuation.mail import Kind, wakes
from maestro.continuation.wait import (
    AnyOf,
    ApprovalResolution,
    BudgetGrant,
    Children,
    ExternalResult,
    ScheduledWake,
    StreamEvent,
    UserReply,
    WaitFor,
    asks_person,
    describe,
    join_count,
    left,
    parts,
    wake_keys,
)
from maestro.ids import ContinuationId, TimeMs

A, B, C = (ContinuationId(f"0123456789abcdefghjkm{letter}-0") for letter in "abc")
REPLY = UserReply(question_id="question-1", question="Shall I?")
APPROVAL = ApprovalResolution(approval_id="approval-1", action="buy", binding="0" * 64)
RESULT = ExternalResult(operation_id="op-1")
AT = ScheduledWake(wake_at_ms=TimeMs(5))
BOTH = Children(ids=(A, B), needed=2)
MONEY = BudgetGrant(resource="usd", asked=10, free=3)
MEMBERS: list[tuple[WaitFor, str, str, bool]] = [
    (StreamEvent(), "event:any", "asleep until an event, a message, a timer or a child's end", False),
    (REPLY, "reply:question-1", "waiting for your answer to: Shall I?", True),
    (APPROVAL, "approval:approval-1", "waiting for your approval approval-1: buy", True),
    (RESULT, "result:op-1", "waiting for the result of operation op-1", False),
    (AT, "timer:wake", "asleep until 5 ms on the store's clock", False),
    (BOTH, f"child:{A}", "waiting for 2 of 2 children", False),
    (MONEY, "budget", "waiting on budget: 10 usd asked, 3 free", True),
    (
        AnyOf(waits=(RESULT, AT)),
        "timer:wake",
        "waiting for the result of operation op-1, or asleep until 5 ms on the store's clock",
        False,
    ),
]


def test_every_member_of_the_union_is_tried_here() -> None:
    union = get_args(WaitFor)[0]
    assert {type(wait) for wait, *_ in MEMBERS} == set(get_args(union))


@pytest.mark.parametrize(("wait", "key", "words", "person"), MEMBERS, ids=lambda v: getattr(v, "type", ""))
def test_each_says_what_ends_it_and_why_it_sleeps(wait: WaitFor, key: str, words: str, person: bool) -> None:
    assert wakes(wake_keys(wait), key)
    assert describe(wait) == words
    assert asks_person(wait) is person


@pytest.mark.parametrize("wait", [wait for wait, *_ in MEMBERS], ids=lambda w: w.type)
def test_start_and_control_end_every_wait(wait: WaitFor) -> None:
    assert wakes(wake_keys(wait), Kind.START)
    assert wakes(wake_keys(wait), Kind.CONTROL)


@pytest.mark.parametrize(
    "wait", [wait for wait, *_ in MEMBERS if not isinstance(wait, StreamEvent)], ids=lambda w: w.type
)
def test_only_what_is_waited_for_ends_it(wait: WaitFor) -> None:
    for stranger in ("event:x", "reply:other", "approval:other", "result:other", "timer:other", f"child:{C}"):
        assert not wakes(wake_keys(wait), stranger), stranger


@pytest.mark.parametrize("wait", [wait for wait, *_ in MEMBERS], ids=lambda w: w.type)
def test_each_survives_being_written_down(wait: WaitFor) -> None:
    adapter: TypeAdapter[WaitFor] = TypeAdapter(WaitFor)
    assert adapter.validate_json(adapter.dump_json(wait)) == wait


def test_a_person_who_is_asked_may_also_just_write() -> None:
    assert wakes(wake_keys(REPLY), "message")


def test_parts_of_nested_waits_are_simple() -> None:
    assert parts(AnyOf(waits=(AnyOf(waits=(RESULT, AT)), REPLY))) == (RESULT, AT, REPLY)


def test_a_join_counts_children_unless_anything_wakes_anyway() -> None:
    assert join_count(BOTH) == 2
    assert join_count(AnyOf(waits=(AT, BOTH))) == 2
    assert join_count(AnyOf(waits=(BOTH, StreamEvent()))) == 0
    assert join_count(REPLY) == 0


def test_more_children_than_there_are_can_never_end() -> None:
    with pytest.raises(ValidationError, match="3 of 2 children can never end"):
        Children(ids=(A, B), needed=3)
    with pytest.raises(ValidationError):
        Wait.children()


@pytest.mark.parametrize(
    ("wait", "arrived", "living", "still"),
    [
        (StreamEvent(), {"event:x"}, set(), StreamEvent()),
        (REPLY, {"reply:question-1"}, set(), None),
        (REPLY, {"message"}, set(), REPLY),
        (APPROVAL, {"approval:approval-1"}, set(), None),
        (APPROVAL, {"approval:other"}, set(), APPROVAL),
        (RESULT, {"result:op-1"}, set(), None),
        (AT, {"timer:wake"}, set(), None),
        (AT, {"timer:other"}, set(), AT),
        (MONEY, {"message"}, set(), MONEY),
        (BOTH, set(), {A, B}, BOTH),
        (BOTH, set(), {B}, Children(ids=(B,), needed=1)),
        (BOTH, set(), set(), None),
        (Children(ids=(A, B), needed=1), set(), {B}, None),
        (AnyOf(waits=(AT, StreamEvent())), {"timer:wake"}, set(), StreamEvent()),
        (AnyOf(waits=(AT, RESULT)), {"timer:wake", "result:op-1"}, set(), None),
        (AnyOf(waits=(AT, RESULT, REPLY)), {"timer:wake"}, set(), AnyOf(waits=(RESULT, REPLY))),
    ],
)
def test_what_has_come_is_not_waited_for_again(
    wait: WaitFor, arrived: set[str], living: set[ContinuationId], still: WaitFor | None
) -> None:
    assert left(wait, arrived, living) == still


def test_waits_as_behaviours_write_them() -> None:
    assert Wait.reply("Shall I?") == Wait.reply("Shall I?"), "the same question twice is one question"
    assert Wait.children(A, B).wait == BOTH
    assert Wait.children(A, B, needed=1).wait == Children(ids=(A, B), needed=1)
    assert Wait.result("op-1").wait == RESULT
    assert Wait.budget("usd").wait == BudgetGrant(resource="usd")
    assert Wait.any_of(Wait.result("op-1"), Sleep.until(5)).wait == AnyOf(waits=(RESULT, Sleep.until(5).wait))
    assert Sleep.until_woken().wait == StreamEvent()
    assert parts(Sleep.until(5).wait) == (AT, StreamEvent())
