"""Fold a transition into the single write that ends the tick.

Invariants: pure; the outbox keeps the order of the directives; a terminal transition leaves no timer, no subscription,
no wait and no living child; what the checkpoint says after the fold is what the log's patch says.

Source: transactional outbox; DESIGN section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

import orjson
from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint, Child, digest
from maestro.continuation.directive import (
    Act,
    CancelTimer,
    Demonitor,
    EditField,
    Fail,
    Finish,
    Grant,
    Interest,
    Link,
    Monitor,
    Publish,
    Recurring,
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
)
from maestro.continuation.edits import Edit, changed
from maestro.continuation.envelope import Envelope, Seal
from maestro.continuation.lifecycle import TERMINAL, Status, move, stop_status
from maestro.continuation.lineage import legacy_keys
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.supervision import RESTARTED
from maestro.continuation.wait import (
    WAKE_TIMER,
    ScheduledWake,
    WaitFor,
    join_count,
    parts,
    wake_keys,
)
from maestro.ids import ContinuationId, EntryId, EventId, TimeMs, partition_of
from maestro.mesh.event import Event
from maestro.tick.alarm import timers_after
from maestro.tick.birth import born, child_of
from maestro.tick.ending import NOTHING_LEFT, Farewell, farewell
from maestro.tick.exhibits import exhibited
from maestro.tick.letters import letter_of
from maestro.tick.logbook import record_of
from maestro.tick.store import Birth, Commit, OutboxRow, Terms
from maestro.tick.supervising import FIRST_ORDINAL, kept
from maestro.tick.telling import asked_of_person, committed_fact
from maestro.tick.ties import Knots, word_of_end
from maestro.tick.transition import Facts, Transition, hops_of, mail_of
from maestro.tick.waiting import rest, watched


@dataclass(slots=True)
class _Draft:
    """The outward half of a commit while the directives are folded into it."""

    interests: dict[str, Interest]
    timers: dict[str, TimeMs]
    recurring: dict[str, Recurring]
    children: dict[ContinuationId, Child]
    knots: Knots
    edits: dict[EntryId, Edit]
    successors: list[Birth] = field(default_factory=list)
    """Who takes the places of crashed children; they are paid for already."""
    timers_set: dict[str, TimeMs] = field(default_factory=dict)
    spend: BudgetVector = BudgetVector({})
    births: list[Birth] = field(default_factory=list)
    grants: list[tuple[ContinuationId, BudgetVector]] = field(default_factory=list)
    family: list[tuple[ContinuationId, Mail]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    left: Farewell = NOTHING_LEFT
    findings: list[bytes] = field(default_factory=list)


def fold(facts: Facts, transition: Transition, seal: Seal) -> Commit:
    """The commit that this transition of this tick means.

    Raises:
        ContinuationStateError: the lifecycle allows no such move.
    """
    before = facts.before
    timers, again = timers_after(before.timers, before.recurring, facts.consumed, facts.as_of_ms or facts.now_ms)
    draft = _Draft(
        interests={i.id: i for i in before.interests if i.until_ms is None or i.until_ms > facts.now_ms},
        timers=timers,
        timers_set=again,
        recurring=dict(before.recurring),
        children=_ended(facts.before.children, facts.consumed),
        knots=Knots.of(before, facts.consumed),
        edits=dict(before.edits),
    )
    _recover(draft, facts, transition, seal)
    if facts.is_first_of_fork:  # it is born with its origin's wishes; its first tick makes them known
        draft.timers_set.update(draft.timers)
    for ordinal, act in enumerate(transition.acts):
        _fold_act(draft, act, ordinal, facts, seal)
    after = _close(draft, facts, transition)
    return _commit(draft, facts, transition, after, seal)


def _fold_act(draft: _Draft, act: Act, ordinal: int, facts: Facts, seal: Seal) -> None:
    match act:
        case Spawn():
            child = child_of(facts.before, act, facts.now_ms, facts.tainted)
            draft.births.append(born(child, child_grant(act, facts), seal))
            draft.children[act.child] = kept(act, facts.rev, ordinal)
        case Grant():
            draft.grants.append((act.child, act.amount))
            body: JsonValue = dict(act.amount.root)
            draft.family.append((act.child, mail_of(facts, ordinal, Kind.CONTROL, Control.GRANTED, body)))
        case Send():
            _post(draft, act.to, letter_of(facts, ordinal, act))
        case Publish():
            draft.outbox.append(_event_row(facts, ordinal, act))
        case Report():
            finding = _finding(facts, ordinal, act)
            draft.findings.append(orjson.dumps(finding))
            told = Publish(
                subject=f"finding.{facts.before.root}", event_type="finding", key=str(finding["id"]), payload=finding,
                cause=act.cause,
            )  # fmt: skip
            draft.outbox.append(_event_row(facts, ordinal, told))
        case Subscribe():
            draft.interests[act.interest.id] = act.interest
        case Unsubscribe():
            draft.interests.pop(act.interest_id, None)
        case SetTimer() | CancelTimer():
            _fold_timer(draft, act)
        case Monitor() | Demonitor() | Link() | Unlink() | TrapExit() | Supervise():
            draft.knots.fold(act, ordinal, facts)
        case EditField():
            draft.edits = changed(draft.edits, act.changes)
        case _:
            assert_never(act)


def _fold_timer(draft: _Draft, act: SetTimer | CancelTimer) -> None:
    for known in (draft.timers, draft.timers_set, draft.recurring):
        known.pop(act.timer_id, None)
    if isinstance(act, SetTimer):
        draft.timers[act.timer_id] = draft.timers_set[act.timer_id] = act.due_ms
        if act.recurring is not None:
            draft.recurring[act.timer_id] = act.recurring


def _recover(draft: _Draft, facts: Facts, transition: Transition, seal: Seal) -> None:
    """Crashed children have their successors; whoever ends has none."""
    recovery = facts.recovery
    if recovery is None:
        return
    if not isinstance(transition.closing, Sleep):
        for spawn in recovery.births:
            draft.children.pop(spawn.child, None)
        return
    for spawn in recovery.births:
        draft.successors.append(born(child_of(facts.before, spawn, facts.now_ms), child_grant(spawn, facts), seal))
    body: JsonValue = {"stop_reason": RESTARTED, "reason": "a sibling failed"}
    for number, cid in enumerate(recovery.stops, start=FIRST_ORDINAL):
        draft.family.append((cid, mail_of(facts, number, Kind.CONTROL, Control.KILL, body)))


def _post(draft: _Draft, to: ContinuationId, letter: Mail) -> None:
    """Inside the partition with the commit, and so in order with an end that is told there; elsewhere by the relay."""
    if partition_of(to) == partition_of(ContinuationId(letter.sender)):
        draft.family.append((to, letter))
    else:
        draft.outbox.append(OutboxRow(letter.id, "mail", to, letter.model_dump_json().encode()))


def child_grant(act: Spawn, facts: Facts) -> BudgetVector:
    """A child's grant: what its budget names, and nothing of what else its parent has limited."""
    return BudgetVector({**dict.fromkeys(facts.free, 0), **act.budget.root})


def _close(draft: _Draft, facts: Facts, transition: Transition) -> Checkpoint:
    """The checkpoint after the closing directive."""
    closing, before = transition.closing, facts.before
    update: dict[str, object] = {"wait": None, "result": before.result, "stop_reason": None, "stop_detail": None}
    match closing:
        case Sleep():
            status = Status.PENDING
            update |= _sleep(draft, facts, closing.wait, transition.state)
        case Finish():
            status = Status.COMPLETED
            update |= {"result": closing.result, "stop_reason": "completed"}
        case Fail():
            reason = transition.stop_reason or "harness_error"
            status = stop_status(reason)
            update |= {"stop_reason": reason, "stop_detail": closing.reason}
        case _:
            assert_never(closing)
    move(before.status if status is Status.EXPIRED else Status.RESUMING, status)  # no turn ran: its time was over
    if status in TERMINAL:
        draft.interests.clear()
        draft.knots.cut(facts)
        for known in (draft.timers, draft.timers_set, draft.recurring):
            known.clear()
        draft.left = farewell(facts, transition.children, draft.children, update | {"status": status})
        draft.family.extend(draft.left.orders)
    return before.model_copy(
        update={
            **update,
            "status": status,
            "state": transition.state,
            "behaviour": facts.behaviour or before.behaviour,
            "behaviour_version": facts.behaviour_version,
            "hold": transition.hold,
            "hold_detail": transition.hold_detail,
            "children": draft.children,
            "ties": draft.knots.known,
            "trap_exit": draft.knots.trap_exit,
            "supervision": draft.knots.supervision,
            "disagreements": before.disagreements if transition.disagreements is None else transition.disagreements,
            "interests": tuple(draft.interests.values()),
            "timers": draft.timers,
            "edits": draft.edits,
            "tools": facts.tools or before.tools,
            "recurring": {name: rule for name, rule in draft.recurring.items() if name in draft.timers},
            "turns": before.turns + int(facts.ran),
            "tainted": facts.tainted if facts.ran else before.tainted,
            "updated_at_ms": facts.now_ms,
        }
    )


def _sleep(draft: _Draft, facts: Facts, asked: WaitFor, state: JsonValue) -> dict[str, object]:
    """What the checkpoint says of its sleep; the wake timer is the one of this wait."""
    lent = [birth.grant for birth in draft.births] + [amount for _, amount in draft.grants]
    free = {name: amount - sum(vector[name] for vector in lent) for name, amount in facts.free.items()}
    begun = rest(facts, asked, state, {cid for cid, kid in draft.children.items() if kid.status not in TERMINAL}, free)
    draft.spend = begun.spend
    draft.timers.pop(WAKE_TIMER, None)
    draft.timers_set.pop(WAKE_TIMER, None)
    for part in parts(begun.wait):
        if isinstance(part, ScheduledWake):
            draft.timers[WAKE_TIMER] = draft.timers_set[WAKE_TIMER] = part.wake_at_ms
    return begun.update()


def _commit(draft: _Draft, facts: Facts, transition: Transition, after: Checkpoint, seal: Seal) -> Commit:
    before, terminal = facts.before, after.terminal
    body = after.body()
    record = record_of(facts, transition, after, body, draft.spend)
    record_body = record.body()
    old = {} if facts.is_first_of_fork else {i.id: i for i in before.interests}
    new = {i.id: i for i in after.interests}
    place = (before.id, before.tenant, facts.epoch, facts.rev)
    watch, unwatched = watched(before, after)
    return Commit(
        cid=before.id,
        epoch=facts.epoch,
        rev=facts.rev,
        checkpoint=seal.close(Envelope("checkpoint", *place, digest(record_body), body)),
        record=seal.close(Envelope("record", *place, facts.previous_hash, record_body)),
        status=after.status,
        wake_keys=() if after.wait is None else (*wake_keys(after.wait), *legacy_keys(after)),
        join=0 if after.wait is None else join_count(after.wait),
        hold=after.hold,
        root=before.root,
        name=before.name,
        controls_taken=facts.controls_taken,
        mail_taken=facts.consumed_positions,
        timers={**draft.timers_set, **watch},
        timers_cancelled=(*(before.timers.keys() - after.timers.keys()), *unwatched),
        subscriptions=tuple((i.pattern, i.id, i.relevance) for i in new.values() if old.get(i.id) != i),
        unsubscriptions=tuple((i.pattern, i.id) for i in old.values() if new.get(i.id) != i),
        windows=tuple((i.id, i.coalesce_ms) for i in new.values() if i.coalesce_ms),
        terms={i.id: Terms(i.filters, i.until_ms) for i in new.values() if i.filters or i.until_ms is not None},
        wake_limits=tuple((i.id, i.wakes_per_day) for i in new.values() if i.wakes_per_day is not None),
        events_taken=sum(mail.kind is Kind.EVENT for mail in facts.consumed),
        births=(*draft.successors, *draft.births),
        grants=tuple(draft.grants),
        family_mail=tuple(draft.family),
        outbox=(*draft.outbox, *draft.knots.outbox),
        findings=tuple(draft.findings),
        projections=(*_projections(draft, before), *exhibited(facts)),
        waiting_on_person=asked_of_person(after),
        facts=(committed_fact(record, after, before),),
        parent=before.parent if terminal else None,
        told=draft.left.told,
        orphans=draft.left.orphans,
        heir=transition.heir,
        watches=tuple(draft.knots.watches),
        unwatched=tuple(draft.knots.unwatched),
        last_word=word_of_end(facts, after),
        keep_journal=facts.keep_journal,
        spend=draft.spend,
    )


def _event_row(facts: Facts, ordinal: int, act: Publish) -> OutboxRow:
    event = Event(
        id=EventId(f"{facts.before.id}:{facts.rev}:{ordinal}"),
        subject=act.subject,
        type=act.event_type,
        version=act.version,
        source=facts.before.id,
        key=act.key,
        payload=act.payload,
        time_ms=facts.now_ms,
        hops=hops_of(facts, act.cause),
        causation_id=facts.trigger.id if facts.trigger else None,
        tenant=facts.before.tenant,
        taint="untrusted" if facts.tainted else "trusted",
    )
    return OutboxRow(event.id, "event", "mesh", event.model_dump_json().encode())


def _finding(facts: Facts, ordinal: int, act: Report) -> dict[str, JsonValue]:
    """A finding with its provenance, as it is kept."""
    return {
        **act.finding.model_dump(mode="json"),
        "id": f"{facts.before.id}:{facts.rev}:{ordinal}",
        "continuation": facts.before.id,
        "behaviour": facts.before.behaviour,
        "root": facts.before.root,
        "rev": facts.rev,
        "taint": "untrusted" if facts.tainted else "trusted",
        "at_ms": facts.now_ms,
        "calls": [effect.detail for effect in facts.effects],
        "caused_by": [mail.id for mail in facts.consumed],
    }


def _projections(draft: _Draft, before: Checkpoint) -> tuple[tuple[ContinuationId, bytes], ...]:
    readers = dict.fromkeys([before.id, before.parent or before.id])
    return tuple((cid, finding) for finding in draft.findings for cid in readers)


def _ended(children: dict[ContinuationId, Child], consumed: Sequence[Mail]) -> dict[ContinuationId, Child]:
    """The children as the consumed mail tells of their ends."""
    told = {mail.child: mail.body for mail in consumed if mail.kind is Kind.CHILD}
    return {cid: _ended_child(child, told.get(cid)) for cid, child in children.items()}


def _ended_child(child: Child, told: JsonValue) -> Child:
    return child.model_copy(update={"status": Status(str(told["status"]))}) if isinstance(told, dict) else child
