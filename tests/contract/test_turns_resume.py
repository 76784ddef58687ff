"""The contract of the bounded-turn API, on both stores: create, the six checks, resume."""

import asyncio
from typing import Any

import pytest

from maestro.continuation.lifecycle import Status
from maestro.continuation.wait import ApprovalResolution, ExternalResult, ScheduledWake, UserReply
from maestro.errors import (
    ContinuationAlreadyTerminalError,
    ContinuationBusyError,
    ContinuationExpiredError,
    ContinuationInvalidInputError,
    ContinuationNotFoundError,
    ContinuationTriggerMismatchError,
    MaestroError,
    ResumeAttemptsExhausted,
)
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.turns import ContinuationRecord, HarnessResult
from maestro.turns.triggers import ExternalResultTrigger, mail_for
from tests.contract.resumed import turns
from tests.contract.turns_support import (
    APPROVAL,
    DONE,
    HOUR_MS,
    OPERATION,
    QUESTION,
    Gate,
    Turns,
    outcome_of,
    reply,
    wake_at,
    word,
)

__all__ = ["turns"]


@pytest.mark.spec("01.5")
@pytest.mark.parametrize(
    ("result", "kind"),
    [(QUESTION, UserReply), (APPROVAL, ApprovalResolution), (OPERATION, ExternalResult), (wake_at(1), ScheduledWake)],
)
async def test_each_resumable_outcome_leaves_its_wait(turns: Turns, result: dict[str, Any], kind: type) -> None:
    created = await turns.create(result)
    assert (created.status, type(created.wait_for)) == (Status.PENDING, kind)
    assert await turns.get(created) == created
    assert (created.assistant_id, created.session_id, created.origin_turn_id) == ("agent", "session", "turn-1")


@pytest.mark.spec("01.5")
@pytest.mark.parametrize(
    ("result", "more", "field"),
    [
        (DONE, {}, "harness_result.outcome"),
        ({"outcome": "failed"}, {}, "harness_result.outcome"),
        ({"outcome": "awaiting_approval"}, {}, "harness_result.approval_id"),
        ({"outcome": "deferred"}, {}, "harness_result.operation_id"),
        ({"outcome": "deferred", "metadata": {"scheduled_wake": True}}, {}, "harness_result.wake_at"),
        (wake_at(1) | {"metadata": {"scheduled_wake": True, "wake_at": "soon"}}, {}, "harness_result.wake_at"),
        ({"outcome": "tired"}, {}, "harness_result.outcome"),
        (QUESTION, {"session_id": ""}, "session_id"),
        (QUESTION, {"assistant_id": None}, "assistant_id"),
        (QUESTION, {"bounds": {"ttlMs": 0}}, "bounds.ttl_ms"),
    ],
)
async def test_what_cannot_be_resumed_is_refused_by_name(
    turns: Turns, result: Any, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(ContinuationInvalidInputError) as refusal:
        await turns.create(result, **more)
    assert refusal.value.field == field
    assert await turns.store.list_by_session("session") == []


async def test_a_missing_id_of_the_turn_is_named(turns: Turns) -> None:
    with pytest.raises(ContinuationInvalidInputError) as refusal:
        await turns.runtime.create({"assistant_id": "agent", "session_id": "s", "harness_result": QUESTION})
    assert refusal.value.field == "origin_turn_id"


async def test_ids_may_stand_in_state_or_metadata_and_in_either_spelling(turns: Turns) -> None:
    in_state = await turns.create({"outcome": "awaiting_approval", "continuationState": {"approvalId": "A7"}}, "one")
    in_metadata = await turns.create({"outcome": "deferred", "metadata": {"operation_id": "O7"}}, "two")
    assert isinstance(in_state.wait_for, ApprovalResolution)
    assert in_state.wait_for.approval_id == "A7"
    assert isinstance(in_metadata.wait_for, ExternalResult)
    assert in_metadata.wait_for.operation_id == "O7"


async def test_a_resumed_turn_sees_its_trigger_and_what_it_left_and_its_end_is_kept(turns: Turns) -> None:
    created = await turns.create(QUESTION | {"continuation_state": {"colours": 2}})
    resumed = await turns.resume(created, reply("blue"))
    (seen,) = turns.harness.asked
    assert seen.trigger.message.text == "blue"  # type: ignore[union-attr]
    assert seen.continuation_state == {"colours": 2}
    assert (seen.continuation.status, seen.continuation.resume_attempts) == (Status.RESUMING, 1)
    assert (resumed.continuation.status, resumed.continuation.stop_reason) == (Status.COMPLETED, "completed")
    assert (resumed.harness_result, resumed.continuation.resume_attempts) == (DONE, 1)
    assert await turns.get(created) == resumed.continuation
    await turns.verify(created)


async def _missing(turns: Turns) -> str:
    return "00000000000000000000aa-0"


async def _ended(turns: Turns) -> str:
    created = await turns.create()
    await turns.stop(created)
    return created.id


async def _late(turns: Turns) -> str:
    created = await turns.create()
    await turns.advance(HOUR_MS)
    return created.id


async def _of_another_type(turns: Turns) -> str:
    return (await turns.create(APPROVAL)).id


async def _about_another(turns: Turns) -> str:
    return (await turns.create(OPERATION)).id


async def _tried_out(turns: Turns) -> str:
    created = await turns.create(bounds={"max_resume_attempts": 1})
    turns.harness.script = [HarnessResult.model_validate(QUESTION)]
    await turns.resume(created, reply("first"))
    turns.harness.asked.clear()
    return created.id


MISMATCH = ContinuationTriggerMismatchError
CHECKS: list[tuple[Any, dict[str, Any], type[MaestroError], Status | None, tuple[object, object]]] = [
    (_missing, reply(), ContinuationNotFoundError, None, ("a continuation", None)),
    (_ended, reply(), ContinuationAlreadyTerminalError, Status.CANCELLED, ("pending", "cancelled")),
    (_late, reply(), ContinuationExpiredError, Status.EXPIRED, ("before", None)),
    (
        _of_another_type,
        reply(),
        ContinuationTriggerMismatchError,
        Status.PENDING,
        ("approval_resolution", "user_reply"),
    ),
    (_about_another, outcome_of("O2"), ContinuationTriggerMismatchError, Status.PENDING, ("O1", "O2")),
    (_tried_out, reply("second"), ResumeAttemptsExhausted, Status.FAILED, ("fewer than 1", 1)),
]


@pytest.mark.spec("01.6")
@pytest.mark.parametrize(
    ("arrange", "trigger", "error", "left", "told"), CHECKS, ids=lambda p: getattr(p, "__name__", "")
)
async def test_each_of_the_six_checks_alone_keeps_the_harness_from_running(
    turns: Turns,
    arrange: Any,
    trigger: Any,
    error: type[MaestroError],
    left: Status | None,
    told: tuple[object, object],
) -> None:
    cid = await arrange(turns)
    before = await turns.store.get(cid)
    with pytest.raises(error) as refusal:
        await turns.resume(cid, trigger)
    assert type(refusal.value) is error
    assert turns.harness.asked == []
    facts = refusal.value.facts
    assert facts["id"] == cid
    assert {"status", "expected", "got"} <= facts.keys()
    assert str(facts["expected"]).startswith(str(told[0]))
    assert told[1] is None or facts["got"] == told[1]
    after = await turns.store.get(cid)
    assert (after and after.status) == left
    if left is Status.PENDING:
        assert after == before, "a failed check leaves no other change than an expiry"


async def test_the_first_check_that_fails_speaks(turns: Turns) -> None:
    created = await turns.create(APPROVAL)
    await turns.advance(24 * HOUR_MS)
    with pytest.raises(ContinuationExpiredError):
        await turns.resume(created, reply())  # of the wrong type, too
    with pytest.raises(ContinuationAlreadyTerminalError):
        await turns.resume(created, word())
    assert (await turns.get(created)).stop_reason == "expired_ttl"


async def test_who_has_had_all_attempts_ends_as_failed_for_that_reason(turns: Turns) -> None:
    cid = await _tried_out(turns)
    with pytest.raises(ResumeAttemptsExhausted):
        await turns.resume(cid, reply("second"))
    ended = await turns.runtime.get({"continuation_id": cid})
    assert (ended.status, ended.stop_reason) == (Status.FAILED, "max_attempts_exceeded")


@pytest.mark.spec("01.19")
async def test_to_resume_what_is_in_mid_turn_is_refused_as_busy_which_means_later(turns: Turns) -> None:
    created, gate = await turns.create(), Gate()
    turns.harness.script = [gate]
    first = asyncio.create_task(turns.resume(created, reply("first")))
    await asyncio.wait_for(gate.begun.wait(), 10)
    assert (await turns.get(created)).status is Status.RESUMING
    unread = await _unread(turns, created)
    with pytest.raises(ContinuationBusyError) as refusal:
        await turns.resume(created, reply("second"))
    assert await _unread(turns, created) == unread, "who is refused leaves nothing behind"
    assert isinstance(refusal.value, ContinuationAlreadyTerminalError)
    assert (refusal.value.facts["status"], refusal.value.facts["expected"]) == ("resuming", "pending")
    gate.opened.set()
    assert (await first).continuation.status is Status.COMPLETED
    assert len(turns.harness.asked) == 1


async def test_the_same_trigger_twice_has_one_effect_and_the_same_answer(turns: Turns) -> None:
    created = await turns.create()
    first = await turns.resume(created, reply("blue", "T1"))
    again = await turns.resume(created, reply("blue", "T1"))
    assert again == first
    assert len(turns.harness.asked) == 1


async def test_the_same_trigger_twice_has_one_effect_though_the_record_waits_again(turns: Turns) -> None:
    created = await turns.create(OPERATION)
    turns.harness.script = [HarnessResult.model_validate(OPERATION)]  # of the same operation
    first = await turns.resume(created, outcome_of())
    again = await turns.resume(created, outcome_of())
    assert again == first
    assert again.continuation.status is Status.PENDING
    assert len(turns.harness.asked) == 1


async def test_of_two_different_triggers_at_once_one_wins_and_the_other_has_no_effect(turns: Turns) -> None:
    created = await turns.create()
    outcomes = await asyncio.gather(
        turns.resume(created, reply("one")), turns.resume(created, reply("two")), return_exceptions=True
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [isinstance(error, ContinuationAlreadyTerminalError) for error in lost] == [True]
    assert len(turns.harness.asked) == 1
    won = outcomes.index(next(outcome for outcome in outcomes if not isinstance(outcome, BaseException)))
    assert turns.harness.asked[0].trigger.message.text == ("one", "two")[won]  # type: ignore[union-attr]


async def _unread(turns: Turns, record: ContinuationRecord) -> int:
    return (await verbs.glance_of(turns.store.at, ContinuationId(record.id))).unread


async def test_who_resumes_runs_his_own_trigger_and_not_one_that_another_left(turns: Turns) -> None:
    created = await turns.create(OPERATION)
    await _overtaken(turns, created)
    turns.harness.script = [HarnessResult.model_validate(OPERATION)]
    await turns.resume(created, outcome_of(id="T1"))
    assert [asked.trigger.id for asked in turns.harness.asked] == ["T1"]
    assert await turns.runtime.run_due() == 0, "what the other left is read, and over"


async def test_a_trigger_that_came_too_late_for_its_wait_ends_no_later_one(turns: Turns) -> None:
    created, gate = await turns.create(OPERATION), Gate(result=HarnessResult.model_validate(OPERATION))
    turns.harness.script = [gate]
    first = asyncio.create_task(turns.resume(created, outcome_of(id="T1")))
    await asyncio.wait_for(gate.begun.wait(), 10)
    await _overtaken(turns, created)
    gate.opened.set()
    assert (await first).continuation.status is Status.PENDING
    assert await turns.runtime.run_due() == 1
    assert len(turns.harness.asked) == 1, "the late one was run"
    assert (await turns.get(created)).status is Status.PENDING


async def _overtaken(turns: Turns, record: ContinuationRecord) -> None:
    """What somebody leaves behind who was overtaken between his checks and his claim."""
    cid, trigger = ContinuationId(record.id), ExternalResultTrigger(id="T2", operation_id="O1")
    turn = (await verbs.checkpoint_of(turns.store.at, cid)).turns
    await turns.backend.store.deliver(cid, mail_for(trigger, cid, turn, "O1", await turns.backend.clock.now_ms()))


async def test_who_resumes_and_dies_leaves_a_record_that_can_be_resumed_again(turns: Turns) -> None:
    created, gate = await turns.create(), Gate()
    turns.harness.script = [gate]
    dying = asyncio.create_task(turns.resume(created, reply("blue")))
    await asyncio.wait_for(gate.begun.wait(), 10)
    dying.cancel()  # no word to the store, as of a process that was killed
    with pytest.raises(asyncio.CancelledError):
        await dying
    with pytest.raises(ContinuationBusyError):
        await turns.resume(created, reply("blue"))
    await turns.advance(30_000)  # the lease is over
    resumed = await turns.resume(created, reply("blue"))
    assert (resumed.continuation.status, len(turns.harness.asked)) == (Status.COMPLETED, 2)
    assert [asked.continuation.resume_attempts for asked in turns.harness.asked] == [1, 2]


async def test_a_trigger_whose_resumer_died_is_carried_out_by_whoever_looks_after_what_is_due(turns: Turns) -> None:
    created, gate = await turns.create(), Gate()
    turns.harness.script = [gate]
    dying = asyncio.create_task(turns.resume(created, reply("blue")))
    await asyncio.wait_for(gate.begun.wait(), 10)
    dying.cancel()
    await asyncio.wait([dying])
    await turns.advance(30_000)
    assert await turns.runtime.run_due() == 1
    assert (await turns.get(created)).status is Status.COMPLETED
    assert (await turns.resume(created, reply("blue"))).harness_result == DONE
    assert len(turns.harness.asked) == 2


async def test_a_harness_that_raises_ends_the_record_as_failed_and_nobody_else(turns: Turns) -> None:
    created = await turns.create()
    turns.harness.script = [RuntimeError("no such colour")]
    resumed = await turns.resume(created, reply())
    assert (resumed.continuation.status, resumed.continuation.stop_reason) == (Status.FAILED, "harness_error")
    assert resumed.continuation.stop_detail == "RuntimeError: no such colour"
    assert resumed.harness_result is not None
    assert resumed.harness_result.error == "RuntimeError: no such colour"


async def test_a_result_that_is_none_is_the_harness_error_that_it_is(turns: Turns) -> None:
    created = await turns.create()
    turns.harness.script = [{"outcome": "awaiting_approval"}]  # without its approval_id
    resumed = await turns.resume(created, reply())
    assert (resumed.continuation.status, resumed.continuation.stop_reason) == (Status.FAILED, "harness_error")
    assert "approval_id" in str(resumed.continuation.stop_detail)
