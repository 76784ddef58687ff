"""Waits from their opening to their end, on every store: time, people, attention, bounds.

Nothing here waits for real time: the stage moves what can move, and the store's clock is told to.
"""

from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import Bounds, TtlDefaults
from maestro.continuation.checkpoint import LogRecord
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.wait import (
    ApprovalResolution,
    BudgetGrant,
    ExternalResult,
    OnApprovalTimeout,
    StreamEvent,
    UserReply,
    WaitFor,
    parts,
)
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, ContinuationExpiredError
from maestro.ids import ContinuationId, MailId, TimeMs
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tick.store import Adopted
from tests.stage import PLENTY, Stage

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RAN: list[str] = []
"""What user code did; emptied before each test."""


class Notes(BaseModel):
    seen: list[str] = []
    filling: str = ""


class Asks(Behaviour[Notes]):
    """Goes to sleep as its input says, and writes down whatever it is woken for."""

    async def start(self, tick: Tick[Notes]) -> Closing | None:
        return self._rest(tick)

    async def on_message(self, tick: Tick[Notes], message: Mail) -> Closing | None:
        RAN.append("message")
        if message.body == "again":
            return self._rest(tick)
        if isinstance(message.body, dict) and "fill" in message.body:
            tick.state.filling = "x" * int(str(message.body["fill"]))
            return None
        tick.state.seen.append(f"message {message.body}")
        return self._rest(tick)

    async def on_reply(self, tick: Tick[Notes], reply: Mail) -> Closing | None:
        RAN.append("reply")
        tick.state.seen.append("reply")
        return self._rest(tick)

    async def on_approval(self, tick: Tick[Notes], approval: Mail) -> Closing | None:
        assert isinstance(approval.body, dict)
        RAN.append("approval")
        tick.state.seen.append(str(approval.body["decision"]))
        if "arguments" in approval.body:
            tick.state.seen.append(str(approval.body["arguments"]))
        return Finish()

    async def on_timeout(self, tick: Tick[Notes], wait: WaitFor) -> Closing | None:
        RAN.append("timeout")
        tick.state.seen.append(f"no {wait.type}")
        return None

    async def on_timer(self, tick: Tick[Notes], timer_id: str) -> Closing | None:
        RAN.append("timer")
        return None

    def _rest(self, tick: Tick[Notes]) -> Closing:
        wishes: dict[str, Any] = tick.about.input if isinstance(tick.about.input, dict) else {}
        how = str(wishes.get("how"))
        if how == "approval":
            return tick.ask_approval("buy", {"usd": 5}, **{k: v for k, v in wishes.items() if k != "how"})
        if how == "approval or anything":
            asked = tick.ask_approval("buy", {"usd": 5}, on_denied="resume", on_timeout="deny")
            return Wait.any_of(asked, Sleep.until_woken())
        if how == "wake":
            return Sleep.until(tick.now_ms + 21 * DAY_MS)
        if how == "result":
            return Sleep(wait=ExternalResult(operation_id="op", **{k: v for k, v in wishes.items() if k != "how"}))
        return Sleep(wait=UserReply(question_id="q", question="?", **{k: v for k, v in wishes.items() if k != "how"}))


class Wakes(Behaviour[Notes]):
    """Has a timer each hour, caught up with as its input says."""

    async def start(self, tick: Tick[Notes]) -> Closing | None:
        tick.every("beat", HOUR_MS, catch_up=str(tick.about.input))  # type: ignore[arg-type]
        return None

    async def run(self, tick: Tick[Notes]) -> Closing | None:
        for mail in tick.inbox:
            if mail.kind is Kind.TIMER and isinstance(mail.body, dict):
                RAN.append(f"{mail.body['missed']}")
                assert int(str(mail.body["due_ms"])) <= tick.now_ms
        return await super().run(tick)


class Parents(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        for _ in range(int(str(tick.about.input))):
            tick.spawn(Asks, goal="wait", budget=BudgetVector({}), input={"how": "result"})
        return None


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


@pytest.fixture
async def stage(backend: Backend) -> Stage:
    return Stage(backend, Asks, Wakes, Parents)


async def begun(stage: Stage, bounds: Bounds | None = None, **wishes: JsonValue) -> ContinuationId:
    cid = await stage.start(Asks, input=wishes, bounds=bounds or Bounds())
    await stage.settle()
    RAN.clear()
    return cid


async def later(stage: Stage, ms: int) -> None:
    await stage.advance(ms)
    await stage.settle()


async def last(stage: Stage, cid: ContinuationId) -> LogRecord:
    return (await verbs.records(stage.at, cid))[-1]


async def approval_of(stage: Stage, cid: ContinuationId) -> ApprovalResolution:
    wait = (await stage.checkpoint(cid)).wait
    assert wait is not None
    return next(part for part in parts(wait) if isinstance(part, ApprovalResolution))


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


# ---------------------------------------------------------------- people


@pytest.mark.spec("01.7")
async def test_denied_it_ends_without_a_line_of_code(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=False)
    await stage.settle()
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason) == (Status.CANCELLED, "approval_denied")
    assert ended.stop_detail == "buy: denied by person"
    assert RAN == []


@pytest.mark.spec("01.7")
async def test_denied_it_goes_on_where_it_wants_to(stage: Stage) -> None:
    cid = await begun(stage, how="approval", on_denied="resume")
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=False)
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["denied"]


async def test_an_edited_approval_brings_other_arguments(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    word = (await approval_of(stage, cid)).approval_id
    await verbs.decide(stage.at, cid, word, approved=True, edited={"usd": 3})
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["edited", "{'usd': 3}"]


@pytest.mark.spec("01.7")
async def test_asked_again_the_record_is_the_same_and_its_time_is_new(stage: Stage) -> None:
    cid = await begun(stage)
    first = await stage.checkpoint(cid)
    for n in range(3):
        await stage.advance(HOUR_MS // 2)
        await verbs.reply(stage.at, cid, f"answer {n}")
        await stage.settle()
    after = await stage.checkpoint(cid)
    assert RAN == ["reply"] * 3
    assert after.id == first.id
    assert after.expires_at_ms is not None
    assert first.expires_at_ms is not None
    assert after.expires_at_ms >= first.expires_at_ms + 3 * HOUR_MS // 2
    assert after.resume_attempts == 3


async def test_a_word_on_what_has_changed_is_refused_and_says_what_changed(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    old = await approval_of(stage, cid)
    await verbs.send(stage.at, cid, "this changes its state")
    await stage.settle()
    with pytest.raises(Conflict, match="the state changed") as caught:
        await verbs.decide(stage.at, cid, old.approval_id, approved=True)
    new = await approval_of(stage, cid)
    assert caught.value.facts["asked_as"] == new.approval_id
    assert new.approval_id != old.approval_id
    assert new.expires_at_ms == old.expires_at_ms
    await verbs.decide(stage.at, cid, new.approval_id, approved=True)
    await stage.settle()
    assert RAN == ["message", "approval"]


async def test_a_tick_that_changes_nothing_leaves_the_approval_as_it_is(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    old = await approval_of(stage, cid)
    await verbs.send(stage.at, cid, "again")
    await stage.settle()
    assert await approval_of(stage, cid) == old


async def test_under_another_policy_an_approval_is_asked_anew(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    old = await approval_of(stage, cid)
    await verbs.decide(stage.at, cid, old.approval_id, approved=True)
    stage.around = stage.surroundings(Asks, policy_version="next")
    await stage.settle()
    new = await approval_of(stage, cid)
    assert (new.replaces, new.changed) == (old.approval_id, ("policy",))
    assert RAN == [], "a word that was given for another policy is not heard"
    with pytest.raises(Conflict, match="the policy changed"):
        await verbs.decide(stage.at, cid, new.approval_id, approved=True)  # this client knows the old policy only


async def test_a_word_on_what_has_changed_meanwhile_is_taken_out_and_not_heard(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    adopted_by_a_message = await _in_hand_for_a_message(stage, cid)
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=True)
    await stage.write(adopted_by_a_message, await run(adopted_by_a_message, stage.around))
    await verbs.send(stage.at, cid, "again")
    await stage.settle()
    assert RAN == ["message", "message"]
    assert (await verbs.glance_of(stage.at, cid)).unread == 0


async def _in_hand_for_a_message(stage: Stage, cid: ContinuationId) -> Adopted:
    await verbs.send(stage.at, cid, "this changes its state")
    return await stage.taken()


async def test_an_approval_is_used_once(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    word = (await approval_of(stage, cid)).approval_id
    await verbs.decide(stage.at, cid, word, approved=True)
    with pytest.raises(Conflict, match="is decided already"):
        await verbs.decide(stage.at, cid, word, approved=False)


@pytest.mark.spec("01.18")
async def test_only_the_signal_that_names_the_open_wait_ends_it(stage: Stage) -> None:
    cid = await begun(stage, how="result")
    await verbs.send(stage.at, cid, "hello")
    await verbs.resolve(stage.at, cid, "another", {"n": 1})
    await stage.settle()
    assert (await verbs.glance_of(stage.at, cid)).unread == 2, "other mail queues"
    assert isinstance((await stage.checkpoint(cid)).wait, ExternalResult)
    signal = await verbs.resolve(stage.at, cid, "op", {"n": 2})
    await stage.settle()
    ended = (await verbs.records(stage.at, cid))[2]
    assert [note.id for note in ended.consumed] == [signal], "the signal in its own tick, before what had come earlier"


async def test_why_says_since_when_until_when_and_what_then(stage: Stage) -> None:
    cid = await begun(stage, how="approval", on_timeout="deny")
    asked = await approval_of(stage, cid)
    told = await stage.why(cid)
    assert f"since {asked.opened_ms} ms, until {asked.expires_at_ms} ms on the store's clock" in told
    assert told.endswith("then it counts as denied")


# ---------------------------------------------------------------- attention


ONE_ASK = PLENTY + BudgetVector({"human.approvals": 1, "human.reviews": 0})


@pytest.mark.spec("01.17")
async def test_an_ask_takes_one_unit_of_attention_and_going_on_asking_none(stage: Stage) -> None:
    cid = await stage.start(Asks, input={"how": "approval or anything"}, budget=ONE_ASK)
    await stage.settle()
    for text in ("one", "two"):
        await verbs.send(stage.at, cid, text)
        await stage.settle()
    assert (await approval_of(stage, cid)).changed == ("state",)
    account = (await stage.ledger(cid)).account("human.approvals")
    assert (account.spent, account.free) == (1, 0)
    charged = [record.charges.get("human.approvals", 0) for record in await verbs.records(stage.at, cid)]
    assert sum(charged) == 1


@pytest.mark.spec("01.17")
async def test_without_attention_nobody_is_asked_until_there_is_some(stage: Stage) -> None:
    cid = await stage.start(Asks, input={"how": "reply"}, budget=ONE_ASK)
    await stage.settle()
    wait = (await stage.checkpoint(cid)).wait
    assert isinstance(wait, BudgetGrant)
    assert (wait.resource, wait.asked, wait.free) == ("human.reviews", 1, 0)
    assert isinstance(wait.then, UserReply)
    assert "human.reviews" in await stage.why(cid)
    await later(stage, 5 * HOUR_MS)
    assert (await stage.checkpoint(cid)).wait == wait, "what nobody was asked does not expire"
    await verbs.rebudget(stage.at, cid, BudgetVector({"human.reviews": 1}), BudgetVector({}))
    await stage.settle()
    asked = (await stage.checkpoint(cid)).wait
    assert isinstance(asked, UserReply)
    assert RAN == [], "a grant asks the question, and runs no code"
    assert (await stage.ledger(cid)).account("human.reviews").spent == 1
    await verbs.reply(stage.at, cid, "now")
    await stage.settle()
    assert RAN == ["reply"]


@pytest.mark.spec("01.17")
async def test_without_attention_the_rest_of_several_waits_goes_on(stage: Stage) -> None:
    none = PLENTY + BudgetVector({"human.approvals": 0})
    cid = await stage.start(Asks, input={"how": "approval or anything"}, budget=none)
    await stage.settle()
    await verbs.send(stage.at, cid, "still awake")
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["message still awake"]
    await verbs.rebudget(stage.at, cid, BudgetVector({"human.approvals": 1}), BudgetVector({}))
    await stage.settle()
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=True)
    await stage.settle()
    assert RAN == ["message", "approval"]


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
