"""The table of statuses: every move is legal or refused, and what a person sees of each."""

import itertools

import pytest

from maestro.continuation.lifecycle import (
    MOVES,
    STOP_STATUS,
    TERMINAL,
    Activity,
    Hold,
    Status,
    activity,
    move,
    stop_status,
)
from maestro.continuation.wait import BudgetGrant, StreamEvent, UserReply, WaitFor
from maestro.errors import ContinuationStateError

P, R = Status.PENDING, Status.RESUMING
LEGAL = {
    (P, R),
    (P, Status.EXPIRED),
    (P, Status.CANCELLED),
    (P, Status.SUPERSEDED),
    (R, P),
    (R, Status.COMPLETED),
    (R, Status.FAILED),
    (R, Status.CANCELLED),
    (R, Status.SUPERSEDED),
}
QUESTION = UserReply(question_id="q", question="yes?")


@pytest.mark.spec("01.7")
@pytest.mark.parametrize(("old", "new"), list(itertools.product(Status, Status)))
def test_each_move_is_legal_or_refused_with_what_would_be(old: Status, new: Status) -> None:
    if (old, new) in LEGAL:
        assert move(old, new) is new
    else:
        with pytest.raises(ContinuationStateError, match=f"no move from {old} to {new}"):
            move(old, new)


def test_the_table_knows_every_status() -> None:
    assert set(MOVES) == set(Status)


def test_what_is_terminal_leads_nowhere() -> None:
    assert {status for status in Status if not MOVES[status]} == TERMINAL


@pytest.mark.spec("01.7")
@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("completed", Status.COMPLETED),
        ("cancelled_by_user", Status.CANCELLED),
        ("cancelled_by_product", Status.CANCELLED),
        ("approval_denied", Status.CANCELLED),
        ("superseded_by_newer_turn", Status.SUPERSEDED),
        ("expired_ttl", Status.EXPIRED),
        ("max_attempts_exceeded", Status.FAILED),
        ("harness_error", Status.FAILED),
        ("budget_exhausted", Status.FAILED),
        ("supervisor_gave_up", Status.FAILED),
        ("deadline", Status.FAILED),
    ],
)
def test_each_stop_reason_leaves_its_status(reason: str, status: Status) -> None:
    assert stop_status(reason) is status


def test_every_stop_has_a_terminal_status_and_an_unknown_one_means_failed() -> None:
    assert set(STOP_STATUS.values()) <= TERMINAL
    assert stop_status("harness_error") is Status.FAILED
    assert stop_status("cancelled_by_user") is Status.CANCELLED


@pytest.mark.parametrize(
    ("status", "wait", "hold", "held_by", "ready", "seen"),
    [
        (Status.COMPLETED, None, None, None, False, Activity.DONE),
        (Status.FAILED, StreamEvent(), Hold.FROZEN, "actor", True, Activity.DONE),
        (P, None, None, "actor", False, Activity.THINKING),
        (P, StreamEvent(), Hold.FROZEN, "actor", False, Activity.THINKING),
        (P, StreamEvent(), Hold.QUARANTINED, None, False, Activity.WAITING_ON_YOU),
        (P, StreamEvent(), None, None, True, Activity.READY),
        (P, StreamEvent(), None, None, False, Activity.SLEEPING),
        (P, QUESTION, None, None, False, Activity.WAITING_ON_YOU),
        (P, QUESTION, None, None, True, Activity.READY),
        (P, BudgetGrant(resource="usd"), None, None, False, Activity.WAITING_ON_YOU),
        (P, None, None, None, False, Activity.SLEEPING),
    ],
)
def test_what_a_person_sees(
    status: Status, wait: WaitFor | None, hold: Hold | None, held_by: str | None, ready: bool, seen: Activity
) -> None:
    assert activity(status, wait, hold, held_by, ready) is seen
