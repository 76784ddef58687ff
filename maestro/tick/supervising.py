"""A parent supervises its children: OTP's table, with children that are continuations.

A child that was spawned as `permanent` or `transient` and ends otherwise than that allows tells its parent by the order
`crashed`, which the runtime carries out, in a tick without a line of the parent's code, held or not: a new child with
the same goal, input and pool takes its place, and its place in what the parent waits for. Siblings follow as the
strategy says. Everything that is decided here is `maestro.supervision.machine`.

Invariants: pure; all incarnations of a child together never use more than it was granted once, so one that goes down
with a sibling has its successor when it has ended and what it used is known; a parent that gives up ends
(`supervisor_gave_up`), with all its linked children; for its own parent that is a crash like any other.
Not here: temporary children, the default. Nobody restarts them, and they are not ended with their siblings.

Source: spec/02 section 3; DESIGN 6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import structlog
from pydantic import JsonValue

from maestro.budget.ledger import lend
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint, Child, EffectNote
from maestro.continuation.directive import Closing, Fail, Spawn, Supervise
from maestro.continuation.lifecycle import TERMINAL, Status
from maestro.continuation.mail import Control
from maestro.continuation.supervision import RESTARTED, SUPERVISOR_GAVE_UP, Restart, Supervision
from maestro.continuation.wait import BudgetGrant, Children, Simple, WaitFor, mapped
from maestro.ids import ContinuationId, HolderId, Rev, TimeMs, child_id
from maestro.supervision import machine
from maestro.supervision import state as otp
from maestro.supervision.spec import ChildSpec, Intensity
from maestro.tick.store import Adopted
from maestro.tick.transition import Recovery, Transition

log = structlog.get_logger()

FIRST_ORDINAL = 1_000  # of children that take another's place, behind those that a tick can spawn
_PASSIVE = frozenset({Control.CRASHED, Control.GRANTED, Control.NOTIFIED, Control.ADOPTED, Control.EDITED})
"""Orders that want no line of code."""


def is_crash(restart: Restart, status: Status, stop_reason: str) -> bool:
    """True when one that ends so is to be restarted."""
    return stop_reason == RESTARTED or machine.verdict(restart, _exit_kind(status)) == "restart"


def kept(spawn: Spawn, rev: Rev, ordinal: int) -> Child:
    """What a parent keeps of a child that it spawns."""
    plain = Child(behaviour=spawn.behaviour, on_parent_end=spawn.on_parent_end)
    if spawn.restart == "temporary":
        return plain
    return plain.model_copy(update={"spawn": spawn, "place": rev * FIRST_ORDINAL + ordinal})


def supervised(act: Supervise, now: Supervision) -> Supervision:
    """Supervision as `act` wants it; what was counted so far stays."""
    return now.model_copy(
        update={
            "strategy": act.strategy,
            "max_restarts": act.max_restarts,
            "max_seconds": act.max_seconds,
            "max_burn": act.max_burn,
        }
    )


def used(adopted: Adopted, notes: Sequence[EffectNote]) -> BudgetVector:
    """What it has spent and lent in its life, with the effects of the tick in hand."""
    accounts = adopted.ledger.accounts.items()
    total = BudgetVector({name: account.spent + account.lent for name, account in accounts})
    known = {ordinal for ordinal, entry in adopted.journal.items() if entry.answered or entry.failed}
    for note in notes:
        total += BudgetVector({} if note.ordinal in known else note.charge)
    return total


def after_crashes(before: Checkpoint, adopted: Adopted, recovery: Recovery, going_on: Closing) -> Transition | None:
    """Its tick where it gives up, or where no order wants more; None where its own work goes on in the same tick."""
    if recovery.gave_up is not None:
        log.error("supervisor_gave_up", reason=recovery.gave_up)
        return Transition(before.state, (), Fail(reason=recovery.gave_up), stop_reason=SUPERVISOR_GAVE_UP)
    if any(mail.subject not in _PASSIVE for mail in adopted.controls):
        return None
    return Transition(before.state, (), going_on, hold=before.hold, hold_detail=before.hold_detail)


def recovered(before: Checkpoint, adopted: Adopted) -> tuple[Checkpoint, Adopted, Recovery | None]:
    """The parent as it is once its crashed children have their successors, and with what is left to it then."""
    crashes = [mail for mail in adopted.controls if mail.subject == Control.CRASHED]
    if not crashes:
        return before, adopted, None
    round_ = _Round(before, adopted.ledger.free, adopted.now_ms, Rev(adopted.rev + 1))
    for mail in crashes:
        round_.take(ContinuationId(mail.correlation or ""), _object(mail.body))
    if round_.gave_up is not None:
        return round_.before, adopted, Recovery(gave_up=round_.gave_up)
    lent = BudgetVector({})
    for spawn in round_.births.values():
        lent += spawn.budget
    recovery = Recovery(tuple(round_.births.values()), tuple(round_.stops))
    return round_.before, replace(adopted, ledger=lend(adopted.ledger, lent)), recovery


class _Round:
    """The crashes that one adoption tells of, one after the other."""

    def __init__(self, before: Checkpoint, free: BudgetVector, now_ms: TimeMs, rev: Rev) -> None:
        self.before = before
        self.births: dict[ContinuationId, Spawn] = {}
        self.stops: list[ContinuationId] = []
        self.gave_up: str | None = None
        self._free = free
        self._now_ms = now_ms
        self._rev = rev
        self._made = 0

    def take(self, cid: ContinuationId, told: Mapping[str, JsonValue]) -> None:
        """`cid` is no more; what the table says follows."""
        child = self.before.children.get(cid)
        if child is None or child.spawn is None or self.gave_up is not None:
            return
        used = BudgetVector(cast("dict[str, int]", told.get("used") or {}))
        self._burn(cid, child, used)
        if child.replaced:  # it was told to end, and now it has
            self._start(cid)
            return
        state = self._state()
        kind = _exit_kind(Status(str(told["status"])))
        ended = otp.Exit(cid, HolderId(cid), kind, str(told.get("detail") or told.get("reason") or ""))
        state, actions = machine.on_exit(state, ended, self._now_ms)
        self._supervision({"restarts": state.restarts})
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: otp.Action) -> None:
        match action:
            case otp.StopChild(spec):
                self._stop(ContinuationId(spec.id))
            case otp.StartChild(spec):
                if not self.before.children[ContinuationId(spec.id)].replaced:
                    self._start(ContinuationId(spec.id))
            case otp.GiveUp(reason):
                self.gave_up = reason
            case _:
                raise AssertionError(f"{action} is nothing that these strategies ask for")

    def _stop(self, cid: ContinuationId) -> None:
        """It is told to end; its successor comes when it has. One that is not born yet is as good as restarted."""
        if cid not in self.births:
            self.stops.append(cid)
            self._put({cid: self.before.children[cid].model_copy(update={"replaced": True})})

    def _start(self, old: ContinuationId) -> None:
        """A new child is in the place of `old`, with what is left of its grant."""
        if old in self.births:
            return
        child = self.before.children[old]
        spawn = child.spawn
        assert spawn is not None  # noqa: S101 - only such children are in the machine
        left = BudgetVector({name: max(0, n - child.burned[name]) for name, n in spawn.budget.items()})
        spent_up = next((name for name, n in spawn.budget.items() if n > 0 and left[name] == 0), None)
        short = self._free.short_of(left)
        if spent_up is not None or short is not None:
            why = f"{spent_up} is burned" if spent_up else f"too little {short} is free"
            self.gave_up = f"{child.behaviour} {old} cannot be restarted: {why}"
            return
        new = child_id(self.before.id, self._rev, FIRST_ORDINAL + self._made, self.before.updated_at_ms)
        self._made += 1
        pool = f"dedicated-{new}" if spawn.pool.startswith("dedicated-") else spawn.pool
        self.births[new] = spawn.model_copy(update={"child": new, "budget": left, "pool": pool})
        self._free = BudgetVector({name: n - left[name] for name, n in self._free.items()})
        successor = child.model_copy(update={"status": Status.PENDING, "replaced": False, "first": child.first or old})
        self._put({old: None, new: successor})
        wait = self.before.wait
        if wait is not None:
            self.before = self.before.model_copy(update={"wait": mapped(wait, lambda part: _renamed(part, old, new))})

    def _burn(self, cid: ContinuationId, child: Child, used: BudgetVector) -> None:
        self._put({cid: child.model_copy(update={"burned": child.burned + used})})
        supervision = self.before.supervision
        burned = supervision.burned + used
        self._supervision({"burned": burned})
        over = next((name for name, most in supervision.max_burn.items() if burned[name] > most), None)
        if over is not None:
            self.gave_up = (
                f"children that had to be restarted burned {burned[over]} {over}, {child.behaviour} {cid} last"
            )

    def _state(self) -> otp.SupervisorState:
        rules = self.before.supervision
        known = sorted(self.before.children.items(), key=lambda kid: (kid[1].place, kid[0]))
        return otp.SupervisorState(
            strategy=rules.strategy,
            intensity=Intensity(max_restarts=rules.max_restarts, max_seconds=rules.max_seconds),
            children=tuple(
                otp.Child(
                    ChildSpec(id=cid, start="maestro:child", restart=child.spawn.restart), "running", HolderId(cid)
                )
                for cid, child in known
                if child.spawn is not None and not child.replaced and child.status not in TERMINAL
            ),
            restarts=rules.restarts,
            phase="up",
        )

    def _supervision(self, change: Mapping[str, object]) -> None:
        told = self.before.supervision.model_copy(update=dict(change))
        self.before = self.before.model_copy(update={"supervision": told})

    def _put(self, change: Mapping[ContinuationId, Child | None]) -> None:
        children = {cid: kid for cid, kid in {**self.before.children, **change}.items() if kid is not None}
        self.before = self.before.model_copy(update={"children": children})


def _renamed(part: Simple, old: ContinuationId, new: ContinuationId) -> WaitFor:
    """The wait for the new child, where it was for the old one."""
    if isinstance(part, Children):
        return part.model_copy(update={"ids": tuple(new if cid == old else cid for cid in part.ids)})
    if isinstance(part, BudgetGrant) and part.then is not None:
        return part.model_copy(update={"then": mapped(part.then, lambda inner: _renamed(inner, old, new))})
    return part


def _exit_kind(status: Status) -> otp.ExitKind:
    match status:
        case Status.COMPLETED:
            return "normal"
        case Status.CANCELLED | Status.SUPERSEDED:
            return "shutdown"
        case _:
            return "error"


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
