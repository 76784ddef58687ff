"""Bounds: every one of them is refused at zero and below, by name; who says it last wins."""

from typing import Any

import pytest

from maestro.continuation.bounds import Bounds, TtlDefaults
from maestro.continuation.expiry import Terms, expires_at, expiry, goes_on, opened, timed_out, watched_until
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
    parts,
)
from maestro.errors import ContinuationInvalidInputError
from maestro.ids import ContinuationId, TimeMs

HOUR_MS = 3_600_000
NOW = TimeMs(1_000_000)
KID = ContinuationId("0123456789abcdefghjkmb-0")
QUESTION = UserReply(question_id="q", question="?")
APPROVAL = ApprovalResolution(approval_id="a", action="buy")
RESULT = ExternalResult(operation_id="o")
WAKE = ScheduledWake(wake_at_ms=TimeMs(NOW + 21 * 24 * HOUR_MS))


@pytest.mark.parametrize("value", [0, -1, 0.0, False])
@pytest.mark.parametrize(
    "field",
    [
        "ttl_ms",
        "max_resume_attempts",
        "deadline_ms",
        "max_turns",
        "max_children",
        "max_depth",
        "tick_timeout_ms",
        "max_state_bytes",
    ],
)
def test_a_bound_of_nothing_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ContinuationInvalidInputError) as caught:
        Bounds(**{field: value})
    assert caught.value.field == f"bounds.{field}"


@pytest.mark.parametrize("field", sorted(TtlDefaults.model_fields))
def test_a_default_of_nothing_is_refused_by_name(field: str) -> None:
    with pytest.raises(ContinuationInvalidInputError) as caught:
        TtlDefaults(**{field: 0})
    assert caught.value.field == f"ttldefaults.{field}"


def test_a_wait_of_no_time_is_refused_by_name() -> None:
    with pytest.raises(ContinuationInvalidInputError) as caught:
        StreamEvent(ttl_ms=0)
    assert caught.value.field == "wait.ttl_ms"


@pytest.mark.spec("01.8")
@pytest.mark.parametrize(
    ("wait", "until"),
    [
        (QUESTION, NOW + HOUR_MS),
        (APPROVAL, NOW + 24 * HOUR_MS),
        (RESULT, NOW + HOUR_MS),
        (WAKE, WAKE.wake_at_ms + HOUR_MS),
        (ScheduledWake(wake_at_ms=TimeMs(5)), NOW + HOUR_MS),
        (StreamEvent(), None),
        (Children(ids=(KID,), needed=1), None),
        (BudgetGrant(resource="usd"), None),
        (AnyOf(waits=(APPROVAL, QUESTION, StreamEvent())), NOW + HOUR_MS),
        (StreamEvent(ttl_ms=7), NOW + 7),
    ],
    ids=lambda v: getattr(v, "type", ""),
)
def test_each_wait_lasts_its_time(wait: WaitFor, until: int | None) -> None:
    assert expiry(wait, Terms(NOW)) == until


@pytest.mark.spec("01.8")
def test_the_wait_wins_over_the_record_and_the_record_over_the_installation() -> None:
    defaults, bounds = TtlDefaults(user_reply_ms=20), Bounds(ttl_ms=30)
    assert expiry(QUESTION, Terms(NOW, defaults=defaults)) == NOW + 20
    assert expiry(QUESTION, Terms(NOW, bounds, defaults)) == NOW + 30
    assert expiry(QUESTION.model_copy(update={"ttl_ms": 40}), Terms(NOW, bounds, defaults)) == NOW + 40
    assert expiry(StreamEvent(), Terms(NOW, bounds, defaults)) is None, "a subscriber may live for ever"


def test_attempts_that_nobody_bounded_are_those_of_the_installation() -> None:
    defaults = TtlDefaults(max_resume_attempts=4)
    assert Bounds().over(defaults).max_resume_attempts == 4
    assert Bounds(max_resume_attempts=2).over(defaults).max_resume_attempts == 2
    assert Bounds().max_resume_attempts == 10


def test_children_inherit_all_but_the_count_of_turns() -> None:
    mine = Bounds(ttl_ms=5, max_turns=7, max_depth=3, deadline_ms=TimeMs(99), tick_timeout_ms=50)
    assert mine.inherited() == Bounds(ttl_ms=5, max_depth=3, deadline_ms=TimeMs(99), tick_timeout_ms=50)


def test_a_wait_that_goes_on_keeps_its_stamps_and_one_that_was_ended_opens_anew() -> None:
    first = opened(AnyOf(waits=(QUESTION, StreamEvent())), (), (), Terms(NOW))
    assert (parts(first)[0].opened_ms, parts(first)[0].expires_at_ms) == (NOW, NOW + HOUR_MS)
    assert (parts(first)[1].opened_ms, parts(first)[1].expires_at_ms) == (None, None)
    later = Terms(TimeMs(NOW + 500))
    went_on = opened(QUESTION, parts(first), {"event:any"}, later)
    assert went_on == parts(first)[0], "an event in between lengthens nothing"
    again = opened(QUESTION, parts(first), {"reply:q"}, later)
    assert parts(again)[0].expires_at_ms == NOW + 500 + HOUR_MS
    other = opened(UserReply(question_id="r", question="??"), parts(first), (), later)
    assert parts(other)[0].opened_ms == NOW + 500


def test_the_first_of_several_to_expire_is_the_one_that_decides() -> None:
    both = opened(AnyOf(waits=(APPROVAL, QUESTION)), (), (), Terms(NOW))
    assert timed_out(both, TimeMs(NOW + HOUR_MS - 1)) is None
    late = timed_out(both, TimeMs(NOW + 30 * HOUR_MS))
    assert late is not None
    assert late.type == "user_reply"
    assert expires_at(both) == watched_until(both) == NOW + HOUR_MS
    assert goes_on(QUESTION, parts(both), ()) == parts(both)[1]


@pytest.mark.spec("01.8")
def test_a_wake_by_our_own_timer_is_never_too_late_and_needs_no_second_timer() -> None:
    wake = opened(AnyOf(waits=(WAKE, StreamEvent())), (), (), Terms(NOW))
    assert expires_at(wake) == WAKE.wake_at_ms + HOUR_MS
    assert watched_until(wake) is None
    assert timed_out(wake, TimeMs(WAKE.wake_at_ms + 30 * HOUR_MS)) is None
