"""The six checks of a resume: each alone, in their order, each with what was expected and what came."""

from typing import Any

import pytest

from maestro.continuation.bounds import Bounds
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import TERMINAL, Status
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.resume import check
from maestro.continuation.wait import (
    AnyOf,
    ApprovalResolution,
    BudgetGrant,
    Children,
    ExternalResult,
    ScheduledWake,
    Simple,
    StreamEvent,
    UserReply,
    WaitFor,
)
from maestro.errors import (
    ContinuationAlreadyTerminalError,
    ContinuationBusyError,
    ContinuationExpiredError,
    ContinuationInvalidInputError,
    ContinuationTriggerMismatchError,
    MaestroError,
    ResumeAttemptsExhausted,
)
from maestro.ids import ContinuationId, MailId, TenantId, TimeMs
from maestro.tick.birth import root_of

ME, KID = ContinuationId("0123456789abcdefghjkma-0"), ContinuationId("0123456789abcdefghjkmb-0")
UNTIL = TimeMs(1_000)
QUESTION = UserReply(question_id="q", question="Shall I?", opened_ms=TimeMs(0), expires_at_ms=UNTIL)
BORN = root_of(ME, TenantId("acme"), "scout", GoalFrame(goal="test"), TimeMs(0))


def asleep(wait: WaitFor | None = QUESTION, **changes: Any) -> Checkpoint:
    return BORN.model_copy(update={"wait": wait, **changes})


def trigger(kind: Kind = Kind.REPLY, about: str | None = "q", subject: str = "") -> Mail:
    return Mail(id=MailId("t"), kind=kind, sender="person", subject=subject, correlation=about, sent_ms=TimeMs(5))


def refused(
    at: Checkpoint, came: Mail | None = None, busy: bool = False, attempts: int = 0, now_ms: int = 10
) -> MaestroError:
    with pytest.raises(MaestroError) as caught:
        check(at, busy, attempts, came or trigger(), TimeMs(now_ms))
    error = caught.value
    assert error.facts["id"] == ME
    assert {"status", "expected", "got"} <= error.facts.keys()
    return error


@pytest.mark.spec("01.6")
@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_has_ended_is_resumed_by_nothing(status: Status) -> None:
    error = refused(asleep(status=status, wait=None), busy=True)
    assert type(error) is ContinuationAlreadyTerminalError
    assert (error.facts["status"], error.facts["expected"], error.facts["got"]) == (status, "pending", status)


@pytest.mark.spec("01.6")
@pytest.mark.spec("01.19")
def test_what_is_in_a_tick_is_busy_which_is_later_and_not_never() -> None:
    error = refused(asleep(), busy=True, now_ms=5_000)
    assert type(error) is ContinuationBusyError
    assert isinstance(error, ContinuationAlreadyTerminalError)
    assert (error.facts["status"], error.facts["got"]) == ("resuming", "resuming")


@pytest.mark.spec("01.6")
def test_after_its_time_a_wait_is_over_whatever_comes() -> None:
    assert check(asleep(), False, 0, trigger(), TimeMs(UNTIL - 1)) == QUESTION
    error = refused(asleep(), trigger(Kind.RESULT, "other"), attempts=99, now_ms=UNTIL)
    assert type(error) is ContinuationExpiredError
    assert (error.facts["expected"], error.facts["got"]) == (f"before {UNTIL}", UNTIL)


@pytest.mark.spec("01.6")
def test_another_kind_of_trigger_is_a_mismatch_of_type() -> None:
    error = refused(asleep(), trigger(Kind.RESULT, "q"), attempts=99)
    assert type(error) is ContinuationTriggerMismatchError
    assert (error.field, error.facts["expected"], error.facts["got"]) == (
        "trigger.type",
        "user_reply",
        "external_result",
    )


@pytest.mark.spec("01.6")
def test_a_trigger_about_something_else_is_a_mismatch_of_correlation() -> None:
    error = refused(asleep(), trigger(about="other"), attempts=99)
    assert type(error) is ContinuationTriggerMismatchError
    assert (error.field, error.facts["expected"], error.facts["got"]) == ("trigger.correlation", "q", "other")


@pytest.mark.spec("01.6")
def test_a_lineage_without_attempts_left_is_refused_last() -> None:
    error = refused(asleep(bounds=Bounds(max_resume_attempts=3)), attempts=3)
    assert type(error) is ResumeAttemptsExhausted
    assert isinstance(error, ContinuationInvalidInputError)
    assert (error.facts["expected"], error.facts["got"]) == ("fewer than 3", 3)
    assert check(asleep(bounds=Bounds(max_resume_attempts=3)), False, 2, trigger(), TimeMs(10)) == QUESTION


ACCEPTED: list[tuple[Simple, Mail, Mail]] = [
    (UserReply(question_id="q", question="?"), trigger(), trigger(about="r")),
    (
        ApprovalResolution(approval_id="a", action="buy"),
        trigger(Kind.APPROVAL, "a"),
        trigger(Kind.APPROVAL, "b"),
    ),
    (ExternalResult(operation_id="o"), trigger(Kind.RESULT, "o"), trigger(Kind.RESULT, "p")),
    (ScheduledWake(wake_at_ms=TimeMs(5)), trigger(Kind.TIMER, "wake"), trigger(Kind.TIMER, "other")),
    (StreamEvent(), trigger(Kind.EVENT, "interest"), trigger(Kind.APPROVAL, "a")),
    (Children(ids=(KID,), needed=1), trigger(Kind.CHILD, KID), trigger(Kind.CHILD, ME)),
    (
        BudgetGrant(resource="usd"),
        trigger(Kind.CONTROL, None, Control.GRANTED),
        trigger(Kind.CONTROL, None, Control.WAKE),
    ),
]


@pytest.mark.spec("01.5")
@pytest.mark.parametrize(("wait", "right", "wrong"), ACCEPTED, ids=lambda v: getattr(v, "type", ""))
def test_each_wait_takes_its_own_trigger_and_no_other(wait: Simple, right: Mail, wrong: Mail) -> None:
    assert check(asleep(wait), False, 0, right, TimeMs(10)) == wait
    assert isinstance(refused(asleep(wait), wrong), ContinuationTriggerMismatchError)


def test_of_several_waits_the_one_that_is_meant_is_found() -> None:
    both = AnyOf(waits=(QUESTION, ExternalResult(operation_id="o")))
    assert check(asleep(both), False, 0, trigger(Kind.RESULT, "o"), TimeMs(10)) == both.waits[1]
    error = refused(asleep(both), trigger(Kind.APPROVAL, "a"))
    assert error.facts["expected"] == "user_reply or external_result"


def test_a_reply_need_not_name_its_question() -> None:
    assert check(asleep(), False, 0, trigger(about=None), TimeMs(10)) == QUESTION
