"""What a turn leaves to wait for: kinds, ids, times to live, and what is refused by name."""

from datetime import UTC, datetime
from typing import Any

import pytest

from maestro.continuation.bounds import Bounds
from maestro.continuation.wait import ApprovalResolution, ExternalResult, ScheduledWake, UserReply
from maestro.errors import ContinuationInvalidInputError
from maestro.turns import ContinuationDefaults, HarnessResult
from maestro.turns.outcomes import TurnWait, is_scheduled, wait_for

HOUR_MS = 3_600_000
DEFAULTS = ContinuationDefaults()


def waited(bounds: Bounds | None = None, defaults: ContinuationDefaults = DEFAULTS, **result: Any) -> TurnWait:
    return wait_for(HarnessResult.model_validate(result), "this turn", bounds or Bounds(), defaults)


def test_a_question_waits_an_hour_and_is_another_one_in_another_turn() -> None:
    asked: dict[str, Any] = {"outcome": "needs_clarification", "content": "which?"}
    wait = waited(**asked)
    assert isinstance(wait, UserReply)
    assert (wait.question, wait.ttl_ms) == ("which?", HOUR_MS)
    again = wait_for(HarnessResult.model_validate(asked), "another turn", Bounds(), DEFAULTS)
    assert isinstance(again, UserReply)
    assert again.question_id != wait.question_id


def test_an_approval_waits_a_day_for_exactly_what_it_names() -> None:
    wait = waited(outcome="awaiting_approval", approvalId="A1", metadata={"action": "send", "arguments": {"to": "us"}})
    assert isinstance(wait, ApprovalResolution)
    assert (wait.approval_id, wait.action, wait.arguments, wait.ttl_ms) == ("A1", "send", {"to": "us"}, 24 * HOUR_MS)


def test_its_own_words_win_over_metadata_and_metadata_over_state() -> None:
    names: dict[str, Any] = {
        "operation_id": "own",
        "metadata": {"operationId": "told"},
        "continuation_state": {"operation_id": "kept"},
    }
    found = []
    for gone in ("nothing", "operation_id", "metadata"):
        names.pop(gone, None)
        wait = waited(outcome="deferred", **names)
        assert isinstance(wait, ExternalResult)
        found.append(wait.operation_id)
    assert found == ["own", "told", "kept"]


@pytest.mark.parametrize(
    "told",
    [
        {"wake_at": datetime(2026, 1, 31, 12, tzinfo=UTC)},
        {"metadata": {"scheduled_wake": True, "wake_at": "2026-01-31T12:00:00Z"}},
        {"continuation_state": {"wakeAtMs": 1_769_860_800_000}},
    ],
)
def test_a_wake_is_at_its_time_however_it_is_written(told: dict[str, Any]) -> None:
    wait = waited(**{"outcome": "deferred", "metadata": {"scheduledWake": True}, **told})
    assert isinstance(wait, ScheduledWake)
    assert wait.wake_at_ms == 1_769_860_800_000


def test_only_a_deferred_turn_that_says_so_is_scheduled() -> None:
    assert not is_scheduled(
        HarnessResult.model_validate({"outcome": "deferred", "metadata": {"scheduled_wake": "yes"}})
    )
    asks = {"outcome": "needs_clarification", "metadata": {"scheduled_wake": True}}
    assert not is_scheduled(HarnessResult.model_validate(asks))


def test_bounds_win_over_defaults_and_defaults_over_what_is_built_in() -> None:
    defaults = ContinuationDefaults.model_validate({"userReplyMs": 7_000})
    assert waited(outcome="needs_clarification", defaults=defaults).ttl_ms == 7_000
    assert waited(outcome="needs_clarification", defaults=defaults, bounds=Bounds(ttl_ms=5_000)).ttl_ms == 5_000


def test_what_metadata_asks_of_the_wait_is_part_of_it_where_the_wait_knows_it() -> None:
    asked = {"on_timeout": "escalate", "escalateTo": ["boss"], "on_denied": "resume", "approvers": ["ada"]}
    approval = waited(outcome="awaiting_approval", approval_id="A1", metadata=asked)
    assert isinstance(approval, ApprovalResolution)
    assert (approval.on_timeout, approval.escalate_to) == ("escalate", ("boss",))
    assert (approval.on_denied, approval.approvers) == ("resume", ("ada",))
    question = waited(outcome="needs_clarification", metadata=asked)
    assert question.on_timeout == "escalate"


def test_a_wait_that_is_asked_for_what_it_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(ContinuationInvalidInputError) as refusal:
        waited(outcome="needs_clarification", metadata={"on_timeout": "approve"})
    assert refusal.value.field == "harness_result.metadata.on_timeout"
