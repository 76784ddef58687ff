"""Waits from their opening to their end, on every store: time, and what becomes of them.

Nothing here waits for real time: the stage moves what can move, and the store's clock is told to.
"""

import pytest

from maestro.continuation.bounds import Bounds, TtlDefaults
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.wait import (
    OnApprovalTimeout,
    StreamEvent,
    UserReply,
)
from maestro.errors import ContinuationAlreadyTerminalError, ContinuationExpiredError
from maestro.ids import MailId
from maestro.runtime import verbs
from tests.contract.waiting import DAY_MS, HOUR_MS, RAN, Asks, begun, last, later, nothing_ran, stage
from tests.stage import Stage

__all__ = ["nothing_ran", "stage"]

# ---------------------------------------------------------------- time


@pytest.mark.spec("01.8")
@pytest.mark.parametrize(("how", "ttl_ms"), [("reply", HOUR_MS), ("approval", DAY_MS), ("result", HOUR_MS)])
async def test_a_wait_expires_by_the_stores_own_timer_without_a_line_of_code(
    stage: Stage, how: str, ttl_ms: int
) -> None:
    cid = await begun(stage, how=how)
    await later(stage, ttl_ms - 10_000)
    assert not (await stage.checkpoint(cid)).terminal
    await later(stage, 10_001)
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason, ended.wait) == (Status.EXPIRED, "expired_ttl", None)
    assert RAN == []
    with pytest.raises(ContinuationAlreadyTerminalError):
        await verbs.reply(stage.at, cid, "too late")


@pytest.mark.spec("01.8")
async def test_a_wake_in_21_days_comes_though_its_timekeeper_was_away_for_longer_than_its_time_to_live(
    stage: Stage,
) -> None:
    cid = await begun(stage, how="wake")
    await later(stage, 21 * DAY_MS - 10_000)
    assert RAN == []
    await later(stage, 10_000 + 5 * HOUR_MS)
    assert RAN == ["timer"]
    assert (await stage.checkpoint(cid)).status is Status.PENDING


@pytest.mark.spec("01.8")
async def test_settings_and_bounds_say_how_long(stage: Stage) -> None:
    stage.around = stage.surroundings(Asks, defaults=TtlDefaults(user_reply_ms=DAY_MS))
    by_settings, by_bounds = await begun(stage), await begun(stage, Bounds(ttl_ms=2 * DAY_MS))
    await later(stage, DAY_MS + 1)
    assert (await stage.checkpoint(by_settings)).status is Status.EXPIRED
    assert (await stage.checkpoint(by_bounds)).status is Status.PENDING
    await later(stage, DAY_MS)
    assert (await stage.checkpoint(by_bounds)).status is Status.EXPIRED


@pytest.mark.spec("01.6")
async def test_an_answer_after_the_time_and_before_the_timer_is_refused(stage: Stage) -> None:
    cid = await begun(stage)
    await stage.advance(HOUR_MS + 1)
    with pytest.raises(ContinuationExpiredError) as caught:
        await verbs.reply(stage.at, cid, "late")
    assert caught.value.facts["id"] == cid
    await stage.settle()
    assert (await stage.checkpoint(cid)).status is Status.EXPIRED
    assert RAN == []


async def test_an_answer_that_came_in_time_wins_though_it_is_read_after(stage: Stage) -> None:
    cid = await begun(stage)
    await verbs.reply(stage.at, cid, "just in time")
    await stage.advance(HOUR_MS + 1)
    await stage.settle()
    assert RAN == ["reply"]
    assert (await stage.checkpoint(cid)).status is Status.PENDING


async def test_a_late_word_that_slipped_in_by_another_way_ends_nothing(stage: Stage) -> None:
    cid = await begun(stage)
    await stage.advance(HOUR_MS + 1)
    now_ms = await stage.backend.clock.now_ms()
    late = Mail(id=MailId("slipped"), kind=Kind.REPLY, sender="person", correlation="q", sent_ms=now_ms)
    await stage.backend.store.deliver(cid, late)
    await stage.settle()
    assert RAN == []
    assert (await stage.checkpoint(cid)).status is Status.EXPIRED


async def test_ticks_in_between_lengthen_no_question(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    until = (await stage.checkpoint(cid)).expires_at_ms
    await stage.advance(HOUR_MS)
    await verbs.send(stage.at, cid, "again")
    await stage.settle()
    assert RAN == ["message"]
    assert (await stage.checkpoint(cid)).expires_at_ms == until


async def test_a_held_one_does_not_expire_until_it_is_let_go(stage: Stage) -> None:
    cid = await begun(stage)
    stage.around = stage.surroundings()  # its behaviour is gone
    await verbs.reply(stage.at, cid, "in time")
    await stage.settle()
    assert (await verbs.glance_of(stage.at, cid)).holder is None
    await later(stage, 2 * HOUR_MS)
    assert (await stage.checkpoint(cid)).status is Status.PENDING
    stage.around = stage.surroundings(Asks)
    await verbs.order(stage.at, cid, Control.THAW)
    await stage.settle()
    assert RAN == ["reply"], "what came in time before the hold is still in time"


# ---------------------------------------------------------------- what becomes of it


@pytest.mark.spec("01.12")
async def test_escalated_the_named_are_told_and_there_is_more_time(stage: Stage) -> None:
    chief = await stage.start(Asks, input={"how": "approval or anything"})
    cid = await begun(stage, on_timeout="escalate", escalate_to=[chief, "the owner"])
    first = (await stage.checkpoint(cid)).expires_at_ms
    await later(stage, HOUR_MS + 1)
    after = await stage.checkpoint(cid)
    assert isinstance(after.wait, UserReply)
    assert after.wait.escalated == 1
    assert after.expires_at_ms is not None
    assert first is not None
    assert after.expires_at_ms >= first + HOUR_MS
    assert RAN == ["message"], "the chief, and nobody else"
    assert any("escalation" in note for note in (await stage.state(chief))["seen"])
    told = [event for n in range(stage.backend.partitions) for event in await events(stage, n)]
    assert len({event for event in told if b'"the owner"' in event}) == 1
    await verbs.reply(stage.at, cid, "at last")
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["reply"]


async def events(stage: Stage, partition: int) -> list[bytes]:
    return list(await stage.backend.records.events(verbs.partitions(stage.at)[partition]))


@pytest.mark.spec("01.12")
@pytest.mark.parametrize(("on_timeout", "decision"), [("approve", "approved"), ("deny", "denied")])
async def test_a_decision_of_the_clock_is_marked_as_such(
    stage: Stage, on_timeout: OnApprovalTimeout, decision: str
) -> None:
    cid = await begun(stage, how="approval", on_timeout=on_timeout, on_denied="resume")
    await later(stage, DAY_MS + 1)
    ended, record = await stage.checkpoint(cid), await last(stage, cid)
    assert (ended.status, ended.state["seen"]) == (Status.COMPLETED, [decision])  # type: ignore[index, call-overload]
    assert record.autonomous_decision == decision
    feed = [fact.body for p in verbs.partitions(stage.at) for fact in await stage.backend.records.feed(p)]
    assert sum(b'"autonomous_decision":"' + decision.encode() in fact for fact in feed) == 1


@pytest.mark.spec("01.12")
async def test_denied_by_the_clock_and_not_wanting_to_go_on_it_ends(stage: Stage) -> None:
    cid = await begun(stage, how="approval", on_timeout="deny")
    await later(stage, DAY_MS + 1)
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason) == (Status.CANCELLED, "approval_denied")
    assert RAN == []


@pytest.mark.spec("01.12")
async def test_resumed_by_the_clock_the_behaviour_sees_what_timed_out(stage: Stage) -> None:
    cid = await begun(stage, on_timeout="resume")
    await later(stage, HOUR_MS + 1)
    after = await stage.checkpoint(cid)
    assert RAN == ["timeout"]
    assert (after.state["seen"], after.wait) == (["no user_reply"], StreamEvent())  # type: ignore[index, call-overload]
    await later(stage, DAY_MS)
    assert RAN == ["timeout"], "once"


@pytest.mark.spec("01.12")
async def test_by_default_nothing_is_decided_and_it_expires(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    await later(stage, DAY_MS + 1)
    assert (await stage.checkpoint(cid)).status is Status.EXPIRED
    assert (await last(stage, cid)).autonomous_decision is None
