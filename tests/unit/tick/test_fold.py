"""The fold: each directive has its place in the commit, order is kept, an end leaves nothing."""

from dataclasses import replace
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import GENESIS, Checkpoint, Child, EffectNote, ForkedFrom, LogRecord, Tie, replay
from maestro.continuation.directive import (
    Act,
    CancelTimer,
    Closing,
    Demonitor,
    EditField,
    Fail,
    Finish,
    Grant,
    Interest,
    Link,
    Monitor,
    Publish,
    Report,
    Send,
    SetTimer,
    Sleep,
    Spawn,
    Subscribe,
    Supervise,
    TrapExit,
    Unlink,
    Unsubscribe,
    Wait,
)
from maestro.continuation.edits import Edit
from maestro.continuation.envelope import Seal
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.wait import Children, StreamEvent
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, EntryId, Epoch, MailId, Rev, TenantId, TimeMs, child_id
from maestro.mesh.event import Event
from maestro.tick.birth import born, root_of
from maestro.tick.fold import fold
from maestro.tick.store import Commit
from maestro.tick.transition import Facts, Transition
from maestro.tick.watches import Watch, link_ref

SEAL = Seal(b"a key of thirty-two bytes to test")
ME, KID, FRIEND = (ContinuationId(f"0123456789abcdefghjkm{letter}-0") for letter in "abc")
STRANGER = ContinuationId("0123456789abcdefghjkmd-1")
ACME, NOW = TenantId("acme"), TimeMs(1_000)
GOAL = GoalFrame(goal="fold")
OLD_INTEREST = Interest(id="interest-old", pattern="old.>")
NEW_INTEREST = Interest(id="interest-new", pattern="new.*", relevance=0.5)
BORN = root_of(ME, ACME, "scout", GOAL, NOW, name="scout-1")
BIRTH = born(BORN, BudgetVector({"usd": 100}), SEAL)
BEFORE = BORN.model_copy(
    update={
        "state": {"n": 1},
        "children": {KID: Child(behaviour="reader")},
        "interests": (OLD_INTEREST,),
        "timers": {"alarm": TimeMs(50)},
        "parent": FRIEND,
        "wait": StreamEvent(),
    }
)
GRANDCHILD = child_id(ME, Rev(2), 0, NOW)
SPAWN = Spawn(child=GRANDCHILD, behaviour="reader", goal=GOAL, budget=BudgetVector({"usd": 5}))
FINDING = Finding(title="sleep is cheap", links=("https://arxiv.org/abs/1",))
ACTS: list[Act] = [
    SPAWN,
    Grant(child=KID, amount=BudgetVector({"usd": 3})),
    Send(to=STRANGER, subject="hello", body=[1]),
    Publish(subject="news.today", event_type="event", key="k", payload={"a": 1}),
    Report(finding=FINDING),
    Subscribe(interest=NEW_INTEREST),
    Unsubscribe(interest_id="interest-old"),
    SetTimer(timer_id="later", due_ms=TimeMs(99)),
    CancelTimer(timer_id="alarm"),
    Monitor(target=FRIEND, ref="monitor-1"),
    Demonitor(target=FRIEND, ref="monitor-1"),
    Link(target=FRIEND),
    Unlink(target=FRIEND),
    TrapExit(on=True),
    Supervise(strategy="one_for_all", max_restarts=2),
    EditField(commands="hide #a", changes={EntryId("#a"): Edit(gone="hidden")}),
]


def letter(kind: Kind = Kind.MESSAGE, correlation: str | None = None, body: JsonValue = None, **more: Any) -> Mail:
    return Mail(id=MailId("mail-1"), kind=kind, sender="x", correlation=correlation, body=body, sent_ms=NOW, **more)


def facts(before: Checkpoint = BEFORE, **changes: Any) -> Facts:
    plain = Facts(
        before=before,
        before_body=before.body(),
        previous_hash=GENESIS,
        epoch=Epoch(4),
        rev=Rev(2),
        now_ms=NOW,
        behaviour_version=1,
        trigger=letter(),
    )
    return replace(plain, **changes)


def folded(*acts: Act, closing: Closing | None = None, of: Facts | None = None, **more: Any) -> Commit:
    return fold(of or facts(), Transition({"n": 2}, acts, closing or Sleep(), **more), SEAL)


def after(commit: Commit) -> Checkpoint:
    return Checkpoint.model_validate_json(SEAL.open(commit.checkpoint, "checkpoint", ME, ACME).body)


def record(commit: Commit) -> LogRecord:
    return LogRecord.model_validate_json(SEAL.open(commit.record, "record", ME, ACME).body)


def test_every_act_is_tried_here() -> None:
    assert {type(act) for act in ACTS} == set(get_args(get_args(Act)[0]))


def test_a_spawn_is_a_birth_with_its_grant_and_nothing_of_what_it_does_not_name() -> None:
    commit = folded(SPAWN, of=facts(free={"usd": 100, "tokens": 7}))
    (birth,) = commit.births
    first = Checkpoint.model_validate_json(SEAL.open(birth.checkpoint, "checkpoint", GRANDCHILD, ACME).body)
    assert (first.parent, first.root, first.depth, birth.start.kind) == (ME, BEFORE.root, 1, Kind.START)
    assert birth.grant == BudgetVector({"usd": 5, "tokens": 0})
    assert after(commit).children[GRANDCHILD] == Child(behaviour="reader")


def test_a_tree_that_grows_too_deep_is_refused() -> None:
    with pytest.raises(InvalidInput, match="would be 9 deep"):
        folded(SPAWN, of=facts(BEFORE.model_copy(update={"depth": 8})))


def test_a_grant_moves_money_and_tells_the_child() -> None:
    commit = folded(ACTS[1])
    assert commit.grants == ((KID, BudgetVector({"usd": 3})),)
    ((to, told),) = commit.family_mail
    assert (to, told.kind, told.subject, told.body) == (KID, Kind.CONTROL, Control.GRANTED, {"usd": 3})


def test_what_leaves_goes_through_the_outbox_in_the_order_of_the_directives() -> None:
    commit = folded(ACTS[3], ACTS[2], ACTS[4])
    assert [(row.kind, row.to) for row in commit.outbox] == [("event", "mesh"), ("mail", STRANGER), ("event", "mesh")]
    assert [row.id for row in commit.outbox] == [f"{ME}:2:{n}" for n in range(3)]
    mail = Mail.model_validate_json(commit.outbox[1].payload)
    assert (mail.sender, mail.subject, mail.body, mail.cause) == (ME, "hello", [1], "mail-1")


def test_a_message_inside_the_partition_goes_with_the_commit_in_order_with_what_else_is_told_there() -> None:
    hello, bye = Send(to=KID, body="hello"), Send(to=KID, body="bye", supersedes="word", expires_ms=TimeMs(9))
    commit = folded(hello, ACTS[1], bye)
    assert commit.outbox == ()
    assert [(to, mail.kind, mail.body) for to, mail in commit.family_mail] == [
        (KID, Kind.MESSAGE, "hello"),
        (KID, Kind.CONTROL, {"usd": 3}),
        (KID, Kind.MESSAGE, "bye"),
    ]
    assert [mail.sequence for _, mail in commit.family_mail] == [200_000, 200_001, 200_002]
    last = commit.family_mail[2][1]
    assert (last.supersedes, last.expires_ms) == ("word", 9)


def test_a_message_counts_the_messages_before_it_and_a_loop_of_them_comes_to_an_end() -> None:
    ((_, first),) = folded(Send(to=KID)).family_mail
    heard = letter().model_copy(update={"hops": 15})
    ((_, last),) = folded(Send(to=KID), of=facts(consumed=(heard, letter()))).family_mail
    assert (first.hops, last.hops) == (1, 16)
    with pytest.raises(InvalidInput, match="after 16 messages and events in a row"):
        folded(Send(to=KID), of=facts(consumed=(heard.model_copy(update={"hops": 16}),)))


def test_who_answers_one_mail_of_many_counts_on_from_that_one() -> None:
    """Else the counts of all who meet in a busy batch would rise without any loop."""
    heard = letter().model_copy(update={"id": MailId("heard"), "hops": 15})
    person = letter().model_copy(update={"id": MailId("person")})
    busy = facts(consumed=(heard, person))
    told = [
        mail.hops
        for cause in ("person", "heard", "unknown", None)
        for _, mail in folded(Send(to=KID, cause=cause), of=busy).family_mail
    ]
    assert told == [1, 16, 16, 16]
    (row,) = folded(ACTS[3].model_copy(update={"cause": "person"}), of=busy).outbox
    assert Event.model_validate_json(row.payload).hops == 1


def test_interests_with_a_window_are_told_with_every_commit() -> None:
    slow = Interest(id="slow", pattern="a.>", coalesce_ms=500)
    commit = folded(Subscribe(interest=slow))
    assert commit.windows == (("slow", 500),)
    assert folded(of=facts(after(commit))).windows == (("slow", 500),)
    assert folded(Unsubscribe(interest_id="slow"), of=facts(after(commit))).windows == ()


def test_a_finding_is_kept_published_and_projected_with_where_it_comes_from() -> None:
    note = EffectNote(ordinal=0, kind="model", key="k", outcome="answered", charge={"usd": 7}, detail={"model": "m"})
    commit = folded(Report(finding=FINDING), of=facts(effects=(note,), consumed=(letter(),)))
    (kept,) = map(orjson.loads, commit.findings)
    assert (kept["continuation"], kept["rev"], kept["caused_by"], kept["calls"]) == (
        ME,
        2,
        ["mail-1"],
        [{"model": "m"}],
    )
    assert Event.model_validate_json(commit.outbox[0].payload).subject == f"finding.{BEFORE.root}"
    assert [cid for cid, _ in commit.projections] == [ME, FRIEND], "into its own field and its parent's"
    assert record(commit).charges == {"usd": 7}


def test_interests_that_change_are_told_and_those_that_do_not_are_not() -> None:
    commit = folded(ACTS[5], ACTS[6])
    assert commit.subscriptions == (("new.*", "interest-new", 0.5),)
    assert commit.unsubscriptions == (("old.>", "interest-old"),)
    assert after(commit).interests == (NEW_INTEREST,)
    assert folded(Subscribe(interest=OLD_INTEREST)).subscriptions == ()
    changed = folded(Subscribe(interest=OLD_INTEREST.model_copy(update={"relevance": 0.1})))
    assert (changed.subscriptions, changed.unsubscriptions) == (
        (("old.>", "interest-old", 0.1),),
        (("old.>", "interest-old"),),
    )


def test_ties_are_watches_inside_the_partition_and_rows_of_the_outbox_beyond_it() -> None:
    commit = folded(Monitor(target=FRIEND, ref="m1"), Monitor(target=STRANGER, ref="m2"), Link(target=KID))
    link = link_ref(ME, KID)
    assert [watch for watch, _ in commit.watches] == [
        Watch(FRIEND, ME, "m1"),
        Watch(ME, KID, link, link=True),
        Watch(KID, ME, link, link=True),
    ]
    assert [(row.kind, row.to, Watch.loads(row.payload)) for row in commit.outbox] == [
        ("watch", STRANGER, Watch(STRANGER, ME, "m2"))
    ]
    assert after(commit).ties == {"m1": Tie(target=FRIEND), "m2": Tie(target=STRANGER)}


def test_whoever_ends_watches_nobody_any_more_and_has_a_last_word() -> None:
    tied = after(folded(Monitor(target=FRIEND, ref="m1"), Monitor(target=STRANGER, ref="m2")))
    commit = folded(Monitor(target=KID, ref="m3"), closing=Fail(reason="enough"), of=facts(tied))
    assert commit.watches == ()
    assert set(commit.unwatched) == {Watch(FRIEND, ME, "m1"), Watch(STRANGER, ME, "m2"), Watch(KID, ME, "m3")}
    assert [(row.kind, row.to) for row in commit.outbox if row.kind == "unwatch"] == [("unwatch", STRANGER)]
    assert after(commit).ties == {}
    assert commit.last_word is not None
    assert commit.last_word.body == {"target": ME, "status": "failed", "reason": "harness_error", "detail": "enough"}
    assert folded().last_word is None


def test_a_tie_whose_end_was_read_is_over() -> None:
    tied = after(folded(Monitor(target=FRIEND, ref="m1")))
    assert after(folded(of=facts(tied, consumed=(letter(Kind.DOWN, "m1"),)))).ties == {}
    assert after(folded(Demonitor(target=FRIEND, ref="m1"), of=facts(tied))).ties == {}


def test_timers_are_set_and_cancelled() -> None:
    commit = folded(ACTS[7], ACTS[8])
    assert (commit.timers, commit.timers_cancelled) == ({"later": 99}, ("alarm",))
    assert after(commit).timers == {"later": 99}
    assert folded(SetTimer(timer_id="a", due_ms=TimeMs(9)), CancelTimer(timer_id="a")).timers == {}


def test_a_timer_whose_mail_was_read_is_over_unless_it_is_set_again() -> None:
    fired = facts(consumed=(letter(Kind.TIMER, "alarm"),))
    assert after(folded(of=fired)).timers == {}
    assert after(folded(SetTimer(timer_id="alarm", due_ms=TimeMs(70)), of=fired)).timers == {"alarm": 70}


def test_the_wake_timer_belongs_to_the_wait() -> None:
    commit = folded(closing=Sleep.until(500))
    assert commit.timers == {"wake": 500}
    asleep = facts(after(commit))
    assert folded(of=asleep).timers_cancelled == ("wake",), "a wait without a time has no timer left over"
    assert folded(closing=Sleep.until(600), of=asleep).timers == {"wake": 600}


def test_an_ended_child_is_remembered_as_such() -> None:
    told = letter(Kind.CHILD, KID, {"status": "failed", "result": None, "reason": "r"})
    assert after(folded(of=facts(consumed=(told,)))).children[KID].status is Status.FAILED


def test_children_that_ended_already_are_counted_off_the_wait() -> None:
    both = Wait.children(KID, GRANDCHILD)
    told = letter(Kind.CHILD, KID, {"status": "completed"})
    commit = folded(SPAWN, closing=both, of=facts(consumed=(told,)))
    assert (commit.join, after(commit).wait) == (1, Children(ids=(GRANDCHILD,), needed=1))
    assert folded(SPAWN, closing=both).join == 2


def test_a_wait_that_could_never_end_is_refused() -> None:
    told = letter(Kind.CHILD, KID, {"status": "completed"})
    with pytest.raises(InvalidInput, match="have ended already"):
        folded(closing=Wait.children(KID), of=facts(consumed=(told,)))


@pytest.mark.parametrize(
    ("closing", "stop", "status", "reason"),
    [
        (Finish(result=42), None, Status.COMPLETED, "completed"),
        (Fail(reason="no way"), None, Status.FAILED, "harness_error"),
        (Fail(reason="by hand"), "cancelled_by_user", Status.CANCELLED, "cancelled_by_user"),
        (Fail(reason="by parent"), "cancelled_by_product", Status.CANCELLED, "cancelled_by_product"),
    ],
)
def test_an_end_leaves_nothing(closing: Closing, stop: str | None, status: Status, reason: str) -> None:
    commit = folded(SPAWN, ACTS[5], ACTS[7], closing=closing, stop_reason=stop)
    end = after(commit)
    assert (end.status, end.stop_reason, commit.status) == (status, reason, status)
    assert (end.interests, end.timers, end.wait, commit.wake_keys) == ((), {}, None, ())
    assert (commit.timers, commit.subscriptions) == ({}, ())
    assert commit.timers_cancelled == ("alarm",)
    assert commit.unsubscriptions == (("old.>", "interest-old"),)
    assert commit.parent == FRIEND
    orders = [(to, mail.subject) for to, mail in commit.family_mail if mail.kind is Kind.CONTROL]
    assert sorted(orders) == sorted([(KID, Control.KILL), (GRANDCHILD, Control.KILL)]), "no child goes on alone"


def test_a_parent_is_told_of_the_end() -> None:
    commit = folded(closing=Finish(result=[1]))
    ((_, kill),), told = commit.family_mail, commit.told
    assert told is not None
    assert (kill.subject, told.kind, told.correlation) == (Control.KILL, Kind.CHILD, ME)
    assert told.body == {"status": "completed", "result": [1], "reason": "completed"}


def test_a_hold_keeps_everything_and_asks_a_person() -> None:
    commit = folded(hold=Hold.QUARANTINED, hold_detail="it fell")
    assert (commit.hold, commit.mail_taken, after(commit).interests) == (Hold.QUARANTINED, (), (OLD_INTEREST,))
    assert commit.waiting_on_person is not None
    assert b"held, quarantined: it fell" in commit.waiting_on_person


def test_a_fork_makes_its_inherited_wishes_known_with_its_first_tick() -> None:
    fork = BEFORE.model_copy(update={"forked_from": ForkedFrom(id=KID, rev=Rev(9))})
    commit = folded(of=facts(fork, rev=Rev(1)))
    assert (commit.subscriptions, commit.timers) == ((("old.>", "interest-old", None),), {"alarm": 50})
    later = folded(of=facts(fork, rev=Rev(2)))
    assert (later.subscriptions, later.timers) == ((), {})


def test_taint_and_hops_are_inherited_from_what_was_read() -> None:
    foreign = letter(trust="untrusted", hops=3)
    event = Event.model_validate_json(folded(ACTS[3], of=facts(consumed=(foreign,))).outbox[0].payload)
    assert (event.taint, event.hops) == ("untrusted", 4)
    assert Event.model_validate_json(folded(ACTS[3]).outbox[0].payload).taint == "trusted"


def test_the_log_alone_leads_to_the_checkpoint() -> None:
    opened = SEAL.open(BIRTH.checkpoint, "checkpoint", ME, ACME)
    zero = SEAL.open(BIRTH.record, "record", ME, ACME).body
    first = facts(BORN, rev=Rev(1), previous_hash=opened.previous_hash, before_body=opened.body)
    commit = folded(*ACTS[:1], *ACTS[2:], of=first)
    assert replay([zero, SEAL.open(commit.record, "record", ME, ACME).body]) == after(commit)


def test_it_is_pure() -> None:
    assert folded(*ACTS) == folded(*ACTS)


@given(st.lists(st.sampled_from(ACTS), max_size=12))
def test_any_directives_keep_their_order(acts: list[Act]) -> None:
    acts = [act for act in acts if not isinstance(act, Spawn)]
    commit = folded(*acts)
    leaving = [n for n, act in enumerate(acts) if isinstance(act, Send | Publish | Report)]
    assert [row.id for row in commit.outbox] == [f"{ME}:2:{n}" for n in leaving]
    assert [d["type"] for d in record(commit).directives if isinstance(d, dict)] == [*(a.type for a in acts), "sleep"]
    names = [row.id for row in commit.outbox] + [mail.id for _, mail in commit.family_mail]
    assert len(names) == len(set(names)), "no two outward acts of a tick share a name"
