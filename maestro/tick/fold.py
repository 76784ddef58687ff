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
from maestro.continuation import patch
from maestro.continuation.checkpoint import Checkpoint, Child, EffectNote, LogRecord, TriggerNote, digest
from maestro.continuation.directive import (
    Act,
    CancelTimer,
    Closing,
    Fail,
    Finish,
    Grant,
    Interest,
    Publish,
    Report,
    Send,
    SetTimer,
    Sleep,
    Spawn,
    Subscribe,
    Unsubscribe,
)
from maestro.continuation.envelope import Envelope, Seal
from maestro.continuation.lifecycle import TERMINAL, Hold, Status, move, stop_status
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.wait import (
    WAKE_TIMER,
    ScheduledWake,
    WaitFor,
    join_count,
    left,
    parts,
    wake_keys,
)
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, Epoch, EventId, MailId, Rev, TimeMs
from maestro.mesh.event import Event
from maestro.tick.birth import born, child_of
from maestro.tick.store import Birth, Commit, OutboxRow
from maestro.tick.telling import asked_of_person, committed_fact, reason_of


@dataclass(frozen=True, slots=True)
class Transition:
    """What a tick decided: the new state, the acts in their order, and how it ends."""

    state: JsonValue
    acts: tuple[Act, ...]
    closing: Closing
    stop_reason: str | None = None
    hold: Hold | None = None
    hold_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the fold needs to know of the tick beside its transition."""

    before: Checkpoint
    before_body: bytes
    previous_hash: str
    epoch: Epoch
    rev: Rev
    """The revision that this tick ends in."""
    now_ms: TimeMs
    behaviour_version: int
    trigger: Mail | None
    consumed: tuple[Mail, ...] = ()
    consumed_positions: tuple[int, ...] = ()
    controls_taken: int = 0
    effects: tuple[EffectNote, ...] = ()
    free: dict[str, int] = field(default_factory=dict)
    """What this continuation has free, of each limited resource: what a child's budget does not name it may not use."""
    keep_journal: bool = False


@dataclass(slots=True)
class _Draft:
    """The outward half of a commit while the directives are folded into it."""

    interests: dict[str, Interest]
    timers: dict[str, TimeMs]
    children: dict[ContinuationId, Child]
    timers_set: dict[str, TimeMs] = field(default_factory=dict)
    births: list[Birth] = field(default_factory=list)
    grants: list[tuple[ContinuationId, BudgetVector]] = field(default_factory=list)
    family: list[tuple[ContinuationId, Mail]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    findings: list[bytes] = field(default_factory=list)


def fold(facts: Facts, transition: Transition, seal: Seal) -> Commit:
    """The commit that this transition of this tick means.

    Raises:
        ContinuationStateError: the lifecycle allows no such move.
    """
    draft = _Draft(
        interests={interest.id: interest for interest in facts.before.interests},
        timers={name: due for name, due in facts.before.timers.items() if not _fired(name, facts.consumed)},
        children=_ended(facts.before.children, facts.consumed),
    )
    if _is_first_of_fork(facts):
        draft.timers_set.update(
            draft.timers
        )  # a fork is born with its origin's wishes; its first tick makes them known
    for ordinal, act in enumerate(transition.acts):
        _fold_act(draft, act, ordinal, facts, seal)
    after = _close(draft, facts, transition)
    return _commit(draft, facts, transition, after, seal)


def _fold_act(draft: _Draft, act: Act, ordinal: int, facts: Facts, seal: Seal) -> None:
    match act:
        case Spawn():
            draft.births.append(born(child_of(facts.before, act, facts.now_ms), child_grant(act, facts), seal))
            draft.children[act.child] = Child(behaviour=act.behaviour)
        case Grant():
            draft.grants.append((act.child, act.amount))
            body: JsonValue = dict(act.amount.root)
            draft.family.append((act.child, _mail(facts, ordinal, Kind.CONTROL, Control.GRANTED, body)))
        case Send():
            letter = _mail(facts, ordinal, Kind.MESSAGE, act.subject, act.body)
            draft.outbox.append(OutboxRow(letter.id, "mail", act.to, letter.model_dump_json().encode()))
        case Publish():
            draft.outbox.append(_event_row(facts, ordinal, act.subject, act.event_type, act.key, act.payload))
        case Report():
            finding = _finding(facts, ordinal, act)
            draft.findings.append(orjson.dumps(finding))
            subject = f"finding.{facts.before.root}"
            draft.outbox.append(_event_row(facts, ordinal, subject, "finding", str(finding["id"]), finding))
        case Subscribe():
            draft.interests[act.interest.id] = act.interest
        case Unsubscribe():
            draft.interests.pop(act.interest_id, None)
        case SetTimer():
            draft.timers[act.timer_id] = draft.timers_set[act.timer_id] = act.due_ms
        case CancelTimer():
            draft.timers.pop(act.timer_id, None)
            draft.timers_set.pop(act.timer_id, None)
        case _:
            assert_never(act)


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
            update["wait"] = _sleep(draft, closing.wait)
        case Finish():
            status = Status.COMPLETED
            update |= {"result": closing.result, "stop_reason": "completed"}
        case Fail():
            reason = transition.stop_reason or "harness_error"
            status = stop_status(reason)
            update |= {"stop_reason": reason, "stop_detail": closing.reason}
        case _:
            assert_never(closing)
    move(Status.RESUMING, status)
    if status in TERMINAL:
        _end(draft, facts, status, update["result"], str(update["stop_reason"]))
    return before.model_copy(
        update={
            **update,
            "status": status,
            "state": transition.state,
            "behaviour_version": facts.behaviour_version,
            "hold": transition.hold,
            "hold_detail": transition.hold_detail,
            "children": draft.children,
            "interests": tuple(draft.interests.values()),
            "timers": draft.timers,
            "updated_at_ms": facts.now_ms,
        }
    )


def _sleep(draft: _Draft, asked: WaitFor) -> WaitFor:
    """What it sleeps until: children that ended already are counted, and its wake timer is the one of this wait.

    Raises:
        InvalidInput: as many of these children as it would wait for have ended; it would never wake.
    """
    wait = left(asked, (), {cid for cid, child in draft.children.items() if child.status not in TERMINAL})
    if wait is None:
        raise InvalidInput(
            "the children that it would wait for have ended already",
            field="wait",
            hint="count their ends in `on_child`, and act in place of waiting when the last one is in",
        )
    draft.timers.pop(WAKE_TIMER, None)
    draft.timers_set.pop(WAKE_TIMER, None)
    for part in parts(wait):
        if isinstance(part, ScheduledWake):
            draft.timers[WAKE_TIMER] = draft.timers_set[WAKE_TIMER] = part.wake_at_ms
    return wait


def _end(draft: _Draft, facts: Facts, status: Status, result: object, reason: str) -> None:
    """Nothing of an ended continuation goes on: children are stopped, its parent is told."""
    draft.interests.clear()
    draft.timers.clear()
    draft.timers_set.clear()
    for number, (cid, child) in enumerate(sorted(draft.children.items())):
        if child.status not in TERMINAL:
            order = _mail(facts, 10_000 + number, Kind.CONTROL, Control.KILL, {"reason": "cancelled_by_product"})
            draft.family.append((cid, order))
    if facts.before.parent:
        body: JsonValue = {"status": status.value, "result": result, "reason": reason}  # type: ignore[dict-item]
        told = _mail(facts, 20_000, Kind.CHILD, facts.before.behaviour, body, about=facts.before.id)
        draft.family.append((facts.before.parent, told))


def _commit(draft: _Draft, facts: Facts, transition: Transition, after: Checkpoint, seal: Seal) -> Commit:
    before, terminal = facts.before, after.terminal
    body = after.body()
    record = _record(facts, transition, after, body)
    record_body = record.body()
    old = {} if _is_first_of_fork(facts) else {i.id: i for i in before.interests}
    new = {i.id: i for i in after.interests}
    place = (before.id, before.tenant, facts.epoch, facts.rev)
    return Commit(
        cid=before.id,
        epoch=facts.epoch,
        rev=facts.rev,
        checkpoint=seal.close(Envelope("checkpoint", *place, digest(record_body), body)),
        record=seal.close(Envelope("record", *place, facts.previous_hash, record_body)),
        status=after.status,
        wake_keys=() if after.wait is None else wake_keys(after.wait),
        join=0 if after.wait is None else join_count(after.wait),
        hold=after.hold,
        root=before.root,
        name=before.name,
        controls_taken=facts.controls_taken,
        mail_taken=facts.consumed_positions,
        timers=draft.timers_set,
        timers_cancelled=tuple(before.timers.keys() - after.timers.keys()),
        subscriptions=tuple((i.pattern, i.id, i.relevance) for i in new.values() if old.get(i.id) != i),
        unsubscriptions=tuple((i.pattern, i.id) for i in old.values() if new.get(i.id) != i),
        births=tuple(draft.births),
        grants=tuple(draft.grants),
        family_mail=tuple(draft.family),
        outbox=tuple(draft.outbox),
        findings=tuple(draft.findings),
        projections=_projections(draft, before),
        waiting_on_person=asked_of_person(after),
        facts=(committed_fact(record, after),),
        parent=before.parent if terminal else None,
        keep_journal=facts.keep_journal,
    )


def _record(facts: Facts, transition: Transition, after: Checkpoint, body: bytes) -> LogRecord:
    charges: dict[str, int] = {}
    for effect in facts.effects:
        for resource, amount in effect.charge.items():
            charges[resource] = charges.get(resource, 0) + amount
    return LogRecord(
        cid=after.id,
        tenant=after.tenant,
        rev=facts.rev,
        epoch=facts.epoch,
        behaviour=after.behaviour,
        behaviour_version=after.behaviour_version,
        trigger=_note(facts.trigger) if facts.trigger else None,
        consumed=tuple(map(_note, facts.consumed)),
        wait=None if after.wait is None else after.wait.model_dump(mode="json"),
        directives=tuple(d.model_dump(mode="json") for d in (*transition.acts, transition.closing)),
        effects=facts.effects,
        charges=charges,
        started_at_ms=facts.now_ms,
        reason=reason_of(after),
        state_hash=digest(body),
        previous_hash=facts.previous_hash,
        patch=patch.diff(orjson.loads(facts.before_body), orjson.loads(body)),
    )


def _is_first_of_fork(facts: Facts) -> bool:
    return facts.rev == 1 and facts.before.forked_from is not None


def _note(mail: Mail) -> TriggerNote:
    return TriggerNote(id=mail.id, kind=mail.kind.value, sender=mail.sender, subject=mail.subject)


def _mail(
    facts: Facts, ordinal: int, kind: Kind, subject: str, body: JsonValue, about: ContinuationId | None = None
) -> Mail:
    """A mail of this tick; its id is the same however often the tick is tried."""
    return Mail(
        id=MailId(f"{facts.before.id}:{facts.rev}:{ordinal}"),
        kind=kind,
        sender=facts.before.id,
        subject=subject,
        body=body,
        correlation=about,
        sent_ms=facts.now_ms,
        cause=facts.trigger.id if facts.trigger else None,
    )


def _event_row(facts: Facts, ordinal: int, subject: str, kind: str, key: str, payload: JsonValue) -> OutboxRow:
    hops = 1 + max((mail.hops for mail in facts.consumed), default=0)
    event = Event(
        id=EventId(f"{facts.before.id}:{facts.rev}:{ordinal}"),
        subject=subject,
        type=kind,
        source=facts.before.id,
        key=key,
        payload=payload,
        time_ms=facts.now_ms,
        hops=hops,
        causation_id=facts.trigger.id if facts.trigger else None,
        tenant=facts.before.tenant,
        taint="untrusted" if any(mail.trust == "untrusted" for mail in facts.consumed) else "trusted",
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
        "at_ms": facts.now_ms,
        "calls": [effect.detail for effect in facts.effects],
        "caused_by": [mail.id for mail in facts.consumed],
    }


def _projections(draft: _Draft, before: Checkpoint) -> tuple[tuple[ContinuationId, bytes], ...]:
    readers = dict.fromkeys([before.id, before.parent or before.id])
    return tuple((cid, finding) for finding in draft.findings for cid in readers)


def _fired(timer: str, consumed: Sequence[Mail]) -> bool:
    return any(mail.kind is Kind.TIMER and mail.correlation == timer for mail in consumed)


def _ended(children: dict[ContinuationId, Child], consumed: Sequence[Mail]) -> dict[ContinuationId, Child]:
    """The children as the consumed mail tells of their ends."""
    told = {mail.child: mail.body for mail in consumed if mail.kind is Kind.CHILD}
    return {cid: _ended_child(child, told.get(cid)) for cid, child in children.items()}


def _ended_child(child: Child, told: JsonValue) -> Child:
    return child.model_copy(update={"status": Status(str(told["status"]))}) if isinstance(told, dict) else child
