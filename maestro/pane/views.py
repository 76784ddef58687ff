"""What people are shown of a continuation: one JSON-able value per question, the same in CLI, client and API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from maestro.budget.ledger import Ledger
from maestro.continuation.checkpoint import Checkpoint, LogRecord, digest
from maestro.continuation.envelope import Seal
from maestro.continuation.expiry import patience
from maestro.continuation.lifecycle import WANTS_CODE, Activity, Hold, activity
from maestro.continuation.wait import ScheduledWake, describe, parts
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId, TenantId, TimeMs
from maestro.tick.records import Frost, Glance


@dataclass(frozen=True, slots=True)
class View:
    """A continuation, opened and checked, with its surroundings in the store."""

    glance: Glance
    checkpoint: Checkpoint
    room: str = ""
    """How full its pool is, in words, where it waits for a place there."""

    @property
    def activity(self) -> Activity:
        c, g = self.checkpoint, self.glance
        return activity(c.status, c.wait, self.hold, g.holder, g.ready_since_ms is not None)

    @property
    def hold(self) -> Hold | None:
        """Why ticks are suspended: a person's word first, then the last tick's, then the want of code."""
        return Hold.FROZEN if self.glance.frozen else self.checkpoint.hold or self.glance.hold

    @property
    def hold_detail(self) -> str | None:
        c, g = self.checkpoint, self.glance
        return c.hold_detail if c.hold is not None or g.hold is None else g.error

    @property
    def residency(self) -> str:
        return "resident" if self.glance.holder else "passive"


def opened(glance: Glance, seal: Seal, tenant: TenantId) -> View:
    """The view of a glance.

    Raises:
        IntegrityError: the checkpoint was changed after it was written.
    """
    envelope = seal.open(glance.checkpoint, "checkpoint", glance.cid, tenant)
    if envelope.rev != glance.rev:
        raise IntegrityError(f"{glance.cid}: the checkpoint is of rev {envelope.rev}, the store says {glance.rev}")
    checkpoint = Checkpoint.model_validate_json(envelope.body)
    if checkpoint.parent != glance.parent:  # its parent has ended; its own next tick will say so
        checkpoint = checkpoint.model_copy(update={"parent": glance.parent})
    return View(glance, checkpoint)


def row_of(glance: Glance, seal: Seal, tenant: TenantId) -> dict[str, JsonValue]:
    """One line of `list`; a damaged continuation has one too, which says what is wrong with it."""
    try:
        return row(opened(glance, seal, tenant))
    except IntegrityError as error:
        nothing = dict.fromkeys(("name", "goal", "parent", "updated_at_ms"))
        spent = glance.ledger.account("usd").spent
        told: dict[str, JsonValue] = {
            "behaviour": "?",
            "activity": "waiting_on_you",
            "status": "pending",
            "hold": "damaged",
        }
        return {"id": glance.cid, **nothing, **told, "rev": glance.rev, "reason": str(error), "spent_usd_micros": spent}


def row(view: View) -> dict[str, JsonValue]:
    """One line of `list`."""
    c = view.checkpoint
    return {
        "id": c.id,
        "name": c.name,
        "behaviour": c.behaviour,
        "activity": view.activity.value,
        "status": c.status.value,
        "hold": _hold(view),
        "rev": view.glance.rev,
        "goal": c.goal.goal,
        "parent": c.parent,
        "reason": why(view),
        "spent_usd_micros": view.glance.ledger.account("usd").spent,
        "updated_at_ms": c.updated_at_ms,
    }


def show(view: View, findings: Sequence[Mapping[str, JsonValue]], node: str | None = None) -> dict[str, JsonValue]:
    """Everything that `show` tells; the shape is stable (INTERFACES)."""
    c, g = view.checkpoint, view.glance
    return {
        "id": c.id,
        "name": c.name,
        "tenant": c.tenant,
        "behaviour": c.behaviour,
        "behaviour_version": c.behaviour_version,
        "status": c.status.value,
        "activity": view.activity.value,
        "residency": view.residency,
        "hold": _hold(view),
        "hold_detail": view.hold_detail,
        "goal": c.goal.model_dump(mode="json"),
        "parent": c.parent,
        "root": c.root,
        "children": [
            {"id": cid, **child.model_dump(mode="json", exclude={"spawn", "place"})}
            for cid, child in c.children.items()
        ],
        "forked_from": c.forked_from.model_dump(mode="json") if c.forked_from else None,
        "rev": g.rev,
        "epoch": g.epoch,
        "wait": c.wait.model_dump(mode="json") if c.wait is not None else None,
        "why": why(view),
        "next_wake_ms": next_wake_ms(c),
        "budget": budget(g.ledger),
        "interests": [interest.model_dump(mode="json") for interest in c.interests],
        "unread": g.unread,
        "tries": g.tries,
        "error": g.error,
        "pool": c.pool,
        "actor": g.holder,
        "node": node,
        "state": c.state,
        "input": c.input,
        "result": c.result,
        "stop_reason": c.stop_reason,
        "stop_detail": c.stop_detail,
        "created_at_ms": c.created_at_ms,
        "updated_at_ms": c.updated_at_ms,
        "findings": [dict(finding) for finding in findings if finding.get("continuation") == c.id],
    }


def why(view: View) -> str:
    """Why the continuation is as it is: one sentence, for every continuation in every state."""
    c, g = view.checkpoint, view.glance
    if g.moved_to is not None:
        return f"moved to {g.moved_to}, by {g.moved_by}; here it will never wake again"
    if c.terminal:
        told = c.stop_detail or c.stop_reason
        return c.status.value if told in (None, c.status.value) else f"{c.status}: {told}"
    if g.holder:
        return f"thinking in {g.holder}: tick {g.rev + 1}, try {g.tries}"
    if g.frost is not None:
        return _frozen(g.frost) + f"; {g.unread} unread" + (f"; before: {describe(c.wait)}" if c.wait else "")
    if g.hold in WANTS_CODE:
        return f"held, {g.hold}: {g.error}"
    if c.hold is not None and g.error is None:  # with an error, a thaw was tried and will be again
        return f"held, {c.hold}: {c.hold_detail}"
    if g.ready_since_ms is not None:
        room = f": {view.room}" if view.room else ""
        where = f"at node {g.pin.node}" if g.pin else f"in pool {c.pool}"
        return f"ready since {g.ready_since_ms} ms, waiting for a place {where}{room}"
    if g.error is not None:
        return f"try {g.tries} of tick {g.rev + 1} failed and will be repeated: {g.error}"
    if c.wait is None:
        return f"born, its start is on its way to pool {c.pool}"
    interests = f"; subscribed to {', '.join(i.pattern for i in c.interests)}" if c.interests else ""
    time = f"; {told}" if (told := patience(c.wait)) else ""
    asks = "".join(f"; asks you: {open_.question}" for open_ in c.disagreements)
    unread = f"; {g.unread} unread that do not wake it" if g.unread else ""
    where = f"; wakes at node {g.pin.node}" if g.pin else ""
    return describe(c.wait) + time + interests + asks + unread + where


def _frozen(frost: Frost) -> str:
    what = {"one": "frozen", "tree": "frozen with its tree", "all": "everything is frozen"}[frost.scope]
    return f"{what} by {frost.by} at {frost.at_ms} ms" + (f": {frost.reason}" if frost.reason else "")


def next_wake_ms(checkpoint: Checkpoint) -> TimeMs | None:
    """When it wakes by itself, if it does."""
    waits = parts(checkpoint.wait) if checkpoint.wait is not None else ()
    dues = [*checkpoint.timers.values(), *(w.wake_at_ms for w in waits if isinstance(w, ScheduledWake))]
    return min(dues, default=None)


def budget(ledger: Ledger) -> dict[str, JsonValue]:
    """Resource -> granted, free, reserved, spent, lent; granted and free are null where nothing limits."""
    return {
        name: {
            "granted": account.granted,
            "free": account.free,
            "reserved": account.reserved,
            "spent": account.spent,
            "lent": account.lent,
            **({} if account.soft is None else {"soft_cap": account.soft}),
        }
        for name, account in sorted(ledger.accounts.items())
    }


def log_line(
    sealed: bytes, committed_at_ms: TimeMs, seal: Seal, cid: ContinuationId, tenant: TenantId
) -> dict[str, JsonValue]:
    """One record of `log -o jsonl`; the shape is stable (INTERFACES).

    Raises:
        IntegrityError: the record was changed after it was written.
    """
    body = seal.open(sealed, "record", cid, tenant).body
    record = LogRecord.model_validate_json(body)
    woken_by = None if record.woken_by is None else record.woken_by.model_dump()
    told: dict[str, JsonValue] = {**record.model_dump(mode="json"), "trigger": woken_by}
    return {**told, "hash": digest(body), "committed_at_ms": committed_at_ms}


def findings(lines: Sequence[bytes]) -> list[dict[str, JsonValue]]:
    """As they were kept, each marked with whether it rests on nothing (`without_evidence`)."""
    kept = map(orjson.loads, lines)
    return [{**finding, "without_evidence": not finding.get("evidence")} for finding in kept]


def _hold(view: View) -> str | None:
    return view.hold.value if view.hold else None
