"""Bounds of a lineage and recurring timers, on every store."""

import pytest

from maestro.continuation.bounds import Bounds
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control
from maestro.ids import TimeMs
from maestro.runtime import verbs
from tests.contract.waiting import HOUR_MS, RAN, Parents, Wakes, begun, later, nothing_ran, stage
from tests.stage import Stage

__all__ = ["nothing_ran", "stage"]

# ---------------------------------------------------------------- bounds


async def test_at_its_deadline_it_ends_whatever_it_waits_for(stage: Stage) -> None:
    deadline = TimeMs(await stage.backend.clock.now_ms() + 3 * HOUR_MS)
    cid = await begun(stage, Bounds(deadline_ms=deadline), how="approval or anything")
    await later(stage, 2 * HOUR_MS)
    assert (await stage.checkpoint(cid)).status is Status.PENDING
    await later(stage, HOUR_MS)
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason) == (Status.FAILED, "deadline")
    assert RAN == []


async def test_a_lineage_that_gets_no_further_is_stopped(stage: Stage) -> None:
    cid = await begun(stage, Bounds(max_resume_attempts=2))
    for n in range(3):
        await verbs.reply(stage.at, cid, f"answer {n}")
        await stage.settle()
    ended = await stage.checkpoint(cid)
    assert RAN == ["reply"] * 2
    assert (ended.status, ended.stop_reason) == (Status.FAILED, "max_attempts_exceeded")


async def test_a_planned_sleep_begins_a_new_lineage(stage: Stage) -> None:
    cid = await begun(stage, Bounds(max_resume_attempts=2), how="approval or anything")
    for n in range(5):
        await verbs.send(stage.at, cid, f"message {n}")
        await stage.settle()
    after = await stage.checkpoint(cid)
    assert (after.status, after.resume_attempts, after.turns) == (Status.PENDING, 0, 6)


async def test_it_has_so_many_turns_and_no_more(stage: Stage) -> None:
    cid = await begun(stage, Bounds(max_turns=2), how="approval or anything")
    for n in range(2):
        await verbs.send(stage.at, cid, f"message {n}")
        await stage.settle()
    ended = await stage.checkpoint(cid)
    assert RAN == ["message"]
    assert (ended.status, ended.stop_reason) == (Status.FAILED, "max_turns_exceeded")


async def test_a_state_that_is_too_large_is_refused_with_both_numbers(stage: Stage) -> None:
    cid = await begun(stage, Bounds(max_state_bytes=1_000), how="approval or anything")
    await verbs.send(stage.at, cid, {"fill": 2_000})
    await stage.settle()
    error = (await verbs.glance_of(stage.at, cid)).error
    assert error is not None
    assert "the state has 20" in error
    assert "and may have 1000" in error
    assert (await stage.state(cid))["filling"] == "", "nothing of it was committed"


@pytest.mark.parametrize(("bounds", "field"), [(Bounds(max_children=2), "max_children"), (Bounds(max_depth=1), None)])
async def test_a_family_grows_as_its_bounds_allow(stage: Stage, bounds: Bounds, field: str | None) -> None:
    cid = await stage.start(Parents, input=3, bounds=bounds)
    await stage.settle()
    parent = await stage.checkpoint(cid)
    if field is None:
        assert len(parent.children) == 3
        kids = [await stage.checkpoint(kid) for kid in parent.children]
        assert {kid.bounds for kid in kids} == {bounds}, "a child has the bounds of its parent"
    else:
        error = (await verbs.glance_of(stage.at, cid)).error
        assert error is not None
        assert "2 children live, and 2 may" in error


# ---------------------------------------------------------------- recurring timers


@pytest.mark.parametrize(
    ("catch_up", "seen"), [("one", ["5", "0"]), ("all", ["0"] * 7), ("skip", ["0"])], ids=["one", "all", "skip"]
)
async def test_what_a_recurring_timer_missed_is_caught_up_with_as_it_says(
    stage: Stage, catch_up: str, seen: list[str]
) -> None:
    cid = await stage.start(Wakes, input=catch_up)
    await stage.settle()
    await stage.backend.steering.freeze(cid, True)
    await later(stage, 6 * HOUR_MS + 60_000)
    assert (await verbs.glance_of(stage.at, cid)).unread == 1, "asleep for six periods it has one mail"
    await stage.backend.steering.freeze(cid, False)
    await stage.settle()
    await later(stage, HOUR_MS - 120_000)
    assert len(RAN) == len(seen) - 1, "not early"
    await later(stage, 120_000)
    assert seen == RAN


async def test_a_recurring_timer_keeps_its_beat_and_ends_when_it_is_cancelled(stage: Stage) -> None:
    cid = await stage.start(Wakes, input="one")
    await stage.settle()
    first = (await stage.checkpoint(cid)).timers["beat"]
    for _ in range(3):
        await later(stage, HOUR_MS + 1_000)
    after = await stage.checkpoint(cid)
    assert RAN == ["0", "0", "0"]
    assert (after.timers["beat"] - first) == 3 * HOUR_MS
    await verbs.order(stage.at, cid, Control.KILL)
    await stage.settle()
    assert (await stage.checkpoint(cid)).timers == {}
