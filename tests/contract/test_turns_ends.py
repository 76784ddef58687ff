"""The contract of the bounded-turn API, on both stores: denial, waiting again, stops, and time."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from maestro.continuation.lifecycle import Status
from maestro.continuation.wait import ApprovalResolution
from maestro.errors import (
    Conflict,
    ContinuationAlreadyTerminalError,
    ContinuationExpiredError,
    ContinuationInvalidInputError,
    ContinuationNotFoundError,
    ContinuationStateError,
    ContinuationTriggerMismatchError,
    MaestroError,
)
from maestro.ids import ContinuationId
from maestro.runtime import steer, verbs
from maestro.runtime.backend import Backend
from tests.contract.resumed import turns
from tests.contract.turns_support import (
    APPROVAL,
    HOUR_MS,
    OPERATION,
    QUESTION,
    WAKE,
    Gate,
    Scheduler,
    Trace,
    Turns,
    outcome_of,
    reply,
    wake_at,
    word,
)

__all__ = ["turns"]


@pytest.mark.spec("01.7")
async def test_a_denied_approval_runs_nothing_and_cancels(turns: Turns) -> None:
    created = await turns.create(APPROVAL)
    denied = await turns.resume(created, word("denied"))
    assert turns.harness.asked == []
    assert denied.harness_result is None
    assert (denied.continuation.status, denied.continuation.stop_reason) == (Status.CANCELLED, "approval_denied")
    assert await turns.resume(created, word("denied")) == denied, "the same word again has the same answer"
    with pytest.raises(ContinuationAlreadyTerminalError):
        await turns.resume(created, word("approved"))


@pytest.mark.spec("01.7")
async def test_a_denial_is_shown_to_a_turn_that_asked_for_it(turns: Turns) -> None:
    created = await turns.create(APPROVAL | {"metadata": {"on_denied": "resume"}})
    resumed = await turns.resume(created, word("denied"))
    assert turns.harness.asked[0].trigger.decision == "denied"  # type: ignore[union-attr]
    assert resumed.continuation.status is Status.COMPLETED


@pytest.mark.spec("01.7")
async def test_a_turn_that_ends_in_another_wait_keeps_its_record_with_new_time(turns: Turns) -> None:
    created = await turns.create()
    await turns.advance(HOUR_MS // 2)
    turns.harness.script = [APPROVAL]
    resumed = await turns.resume(created, reply())
    again = resumed.continuation
    assert (again.id, again.status, again.resume_attempts) == (created.id, Status.PENDING, 1)
    assert isinstance(again.wait_for, ApprovalResolution)
    assert again.expires_at is not None
    assert again.expires_at - again.updated_at == timedelta(hours=24)
    assert [record.id for record in await turns.store.list_by_session("session")] == [created.id]
    assert (await turns.resume(created, word())).continuation.status is Status.COMPLETED


async def test_a_planned_sleep_begins_a_new_lineage_of_attempts(turns: Turns) -> None:
    created = await turns.create()
    turns.harness.script = [wake_at(await turns.now_ms() + 1_000)]
    resumed = await turns.resume(created, reply())
    assert resumed.continuation.resume_attempts == 0


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
        ("budget_exhausted", Status.FAILED),
    ],
)
async def test_the_reason_of_a_stop_decides_the_status_and_a_second_stop_changes_nothing(
    turns: Turns, reason: str, status: Status
) -> None:
    created = await turns.create()
    stopped = await turns.stop(created, reason)
    assert (stopped.status, stopped.stop_reason, stopped.wait_for) == (status, reason, None)
    assert await turns.stop(created, "cancelled_by_user") == stopped
    assert turns.harness.asked == []
    await turns.verify(created)


async def test_a_stop_in_mid_turn_ends_it_and_nothing_of_the_turn_is_committed(turns: Turns, backend: Backend) -> None:
    created, gate = await turns.create(), Gate()
    quick = turns.with_(lease_ms=300)  # how soon it hears of orders
    turns.harness.script = [gate]
    asked = {"continuation_id": created.id, "trigger": reply()}
    resuming = asyncio.create_task(quick.resume(asked))
    await asyncio.wait_for(gate.begun.wait(), 10)
    stopped = await turns.stop(created)
    assert (stopped.status, stopped.state) == (Status.CANCELLED, {})
    with pytest.raises(ContinuationAlreadyTerminalError):
        await resuming


async def test_what_is_not_there_cannot_be_stopped_or_got(turns: Turns) -> None:
    for call in (turns.runtime.get, turns.runtime.redeliver):
        with pytest.raises(MaestroError):
            await call({"continuation_id": "nobody"})
    with pytest.raises(ContinuationNotFoundError):
        await turns.runtime.stop({"continuation_id": "nobody", "reason": "cancelled_by_user"})


async def test_who_is_held_or_frozen_says_so(turns: Turns) -> None:
    created = await turns.create()
    await steer.freeze(turns.store.at, ContinuationId(created.id))
    with pytest.raises(ContinuationStateError, match="frozen"):
        await turns.resume(created, reply())
    assert turns.harness.asked == []
    await steer.thaw(turns.store.at, ContinuationId(created.id))
    assert (await turns.resume(created, reply())).continuation.status is Status.COMPLETED


@pytest.mark.spec("01.16")
async def test_a_turn_with_a_living_record_gets_no_second_one_unless_the_old_one_is_superseded(turns: Turns) -> None:
    first = await turns.create()
    with pytest.raises(Conflict) as refusal:
        await turns.create()
    assert refusal.value.field == "origin_turn_id"
    second = await turns.create(supersede=True)
    assert (await turns.get(first)).stop_reason == "superseded_by_newer_turn"
    assert (await turns.get(first)).status is Status.SUPERSEDED
    assert [record.id for record in await turns.store.list_by_session("session")] == [second.id]
    await turns.stop(second)
    assert (await turns.create()).status is Status.PENDING, "its place is free when it has ended"


@pytest.mark.spec("01.16")
async def test_a_newer_turn_of_the_session_supersedes_only_if_asked(turns: Turns) -> None:
    first = await turns.create(origin="turn-1")
    second = await turns.create(origin="turn-2")
    assert {r.id for r in await turns.store.list_by_session("session")} == {first.id, second.id}
    third = await turns.create(origin="turn-3", supersede=True)
    assert [(await turns.get(record)).status for record in (first, second, third)] == [
        Status.SUPERSEDED,
        Status.SUPERSEDED,
        Status.PENDING,
    ]


@pytest.mark.spec("01.8")
@pytest.mark.parametrize(("result", "ttl_ms"), [(QUESTION, HOUR_MS), (APPROVAL, 24 * HOUR_MS), (OPERATION, HOUR_MS)])
async def test_each_wait_lasts_its_default_to_the_millisecond(
    turns: Turns, result: dict[str, Any], ttl_ms: int
) -> None:
    trigger = {id(QUESTION): reply(), id(APPROVAL): word(), id(OPERATION): outcome_of()}[id(result)]
    late, in_time = await turns.create(result, "late"), await turns.create(result, "in time")
    opened = await turns.now_ms()
    assert in_time.expires_at is not None
    ahead = round(in_time.expires_at.timestamp() * 1000) - 1 - opened
    assert ttl_ms - 2_000 < ahead < ttl_ms  # Redis' own clock goes on beneath the virtual one
    await turns.advance(ahead - 1_000)
    assert (await turns.resume(in_time, trigger)).continuation.status is Status.COMPLETED
    await turns.advance(2_000)
    with pytest.raises(ContinuationExpiredError):
        await turns.resume(late, trigger)


@pytest.mark.spec("01.8")
async def test_a_record_s_bounds_win_over_the_defaults_of_its_runtime(turns: Turns) -> None:
    created = await turns.create(bounds={"ttlMs": 5_000})
    assert created.expires_at is not None
    assert created.expires_at - created.updated_at == timedelta(seconds=5)


@pytest.mark.spec("01.8")
async def test_a_wake_in_twenty_one_days_fires_and_expires_an_hour_after_its_time(turns: Turns) -> None:
    days = 21 * 24 * HOUR_MS
    created = await turns.create(wake_at(await turns.now_ms() + days))
    assert created.expires_at is not None
    assert await turns.runtime.run_due() == 0
    await turns.advance(days - 60_000)
    assert await turns.runtime.run_due() == 0, "never early"
    await turns.advance(60_000)
    assert await turns.runtime.run_due() == 1
    assert turns.harness.asked[0].trigger.type == "scheduled_wake"
    assert (await turns.get(created)).status is Status.COMPLETED

    missed = await turns.create(wake_at(await turns.now_ms() + 1_000), "another")
    await turns.advance(HOUR_MS + 1_000)
    with pytest.raises(ContinuationExpiredError):
        await turns.resume(missed, WAKE)
    assert (await turns.get(missed)).status is Status.EXPIRED


@pytest.mark.spec("01.12")
@pytest.mark.parametrize(
    ("on_timeout", "status", "reason", "seen"),
    [
        ("expire", Status.EXPIRED, "expired_ttl", []),
        ("escalate", Status.PENDING, None, []),
        ("approve", Status.COMPLETED, "completed", ["approval_resolution"]),
        ("deny", Status.CANCELLED, "approval_denied", []),
        ("resume", Status.COMPLETED, "completed", ["timeout"]),
    ],
)
async def test_what_becomes_of_a_wait_that_nobody_ended_is_what_it_says(
    turns: Turns, on_timeout: str, status: Status, reason: str | None, seen: list[str]
) -> None:
    created = await turns.create(APPROVAL | {"metadata": {"on_timeout": on_timeout}})
    await turns.advance(24 * HOUR_MS + 1)
    assert await turns.runtime.run_due() == 1
    after = await turns.get(created)
    assert (after.status, after.stop_reason) == (status, reason)
    assert [asked.trigger.type for asked in turns.harness.asked] == seen


@pytest.mark.spec("01.14")
async def test_a_scheduled_wake_without_a_scheduler_is_refused(backend: Backend) -> None:
    turns = Turns(backend)
    with pytest.raises(ContinuationInvalidInputError) as refusal:
        await turns.create(wake_at(1))
    assert refusal.value.field == "harness_result.metadata.scheduled_wake"
    created = await turns.create()
    turns.harness.script = [wake_at(1)]
    assert (await turns.resume(created, reply())).continuation.stop_reason == "harness_error"


@pytest.mark.spec("01.14")
@pytest.mark.parametrize("way", ["stop", "supersede", "expire"])
async def test_a_wake_up_that_nobody_waits_for_is_cancelled(backend: Backend, way: str) -> None:
    scheduler = Scheduler()
    turns = Turns(backend, scheduler=scheduler)
    at_ms = await turns.now_ms() + HOUR_MS
    created = await turns.create(wake_at(at_ms))
    assert scheduler.scheduled == [(created.id, at_ms)]
    match way:
        case "stop":
            await turns.stop(created)
        case "supersede":
            await turns.create(supersede=True)
        case _:
            await turns.advance(3 * HOUR_MS)
            with pytest.raises(ContinuationExpiredError):
                await turns.resume(created, WAKE)
    assert scheduler.cancelled == ["W1"]


async def test_a_wake_up_of_another_name_resumes_nothing(backend: Backend) -> None:
    turns = Turns(backend, scheduler=Scheduler())
    created = await turns.create(wake_at(await turns.now_ms() + 1_000))
    with pytest.raises(ContinuationTriggerMismatchError):
        await turns.resume(created, WAKE | {"wake_up_id": "W9"})
    assert (await turns.resume(created, WAKE | {"wake_up_id": "W1"})).continuation.status is Status.COMPLETED


@pytest.mark.spec("01.15")
async def test_a_store_and_a_harness_are_enough(backend: Backend) -> None:
    turns = Turns(backend)
    created = await turns.create()
    assert (await turns.resume(created, reply())).continuation.status is Status.COMPLETED


async def test_the_trace_is_told_every_transition_in_its_order(backend: Backend) -> None:
    trace = Trace()
    turns = Turns(backend, trace=trace)
    created = await turns.create()
    turns.harness.script = [APPROVAL]
    await turns.resume(created, reply())
    await turns.resume(created, word("denied"))
    assert trace.told == [
        "created",
        "resuming",
        "pending",
        "resuming",
        "cancelled approval_denied",
    ]


async def test_a_word_from_the_command_line_resumes_a_turn_as_well(turns: Turns) -> None:
    created = await turns.create(APPROVAL)
    await verbs.decide(turns.store.at, ContinuationId(created.id), "A1", approved=True)
    assert await turns.runtime.run_due() == 1
    assert turns.harness.asked[0].trigger.decision == "approved"  # type: ignore[union-attr]
    assert (await turns.get(created)).status is Status.COMPLETED
