"""Ties: monitors and links between continuations, from a tick's wish to the watches that the store keeps.

Invariants: pure; a monitor tells its watcher once, a link each side once; what was asked to be over is unheard, though
it was told before; whoever ends leaves no watch behind.
An exit ends whoever reads it and does not trap exits, with the reason that the other ended for, and without a line of
its code; a normal one (`completed`) ends nobody. The tick under way ends first.

Source: Erlang/OTP, "Processes": links, monitors, exit signals.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint, Tie
from maestro.continuation.directive import Act, Demonitor, Fail, Link, Monitor, Supervise, TrapExit, Unlink
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.supervision import Strategy, Supervision
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, MailId, Rev, check_continuation_id, derived_token, partition_of
from maestro.tick.store import OutboxRow
from maestro.tick.supervising import supervised
from maestro.tick.transition import Facts, Transition
from maestro.tick.watches import Watch, last_word, link_ref

Tying = Monitor | Demonitor | Link | Unlink | TrapExit | Supervise
_HARNESS = "harness_error"
"""The reason of an end that tells none that this code knows."""


class Ties:
    """What a tick can say of others' ends, those of its children too; mixed into Tick."""

    _before: Checkpoint
    _rev: Rev
    _acts: list[Act]

    def monitor(self, target: str) -> str:
        """`on_down` runs once when `target` has ended, at once where it has already; returns the monitor's name.

        Raises:
            InvalidInput: no id, or its own.
        """
        whom = self._other(target)
        ref = derived_token("monitor", self._before.id, self._rev, len(self._acts))
        self._acts.append(Monitor(target=whom, ref=ref))
        return ref

    def demonitor(self, ref: str) -> None:
        """The monitor of that name tells nothing any more; one that has told is over already."""
        asked = (act.target for act in self._acts if isinstance(act, Monitor) and act.ref == ref)
        target = next(asked, None) or (self._before.ties[ref].target if ref in self._before.ties else None)
        if target is not None:
            self._acts.append(Demonitor(target=target, ref=ref))

    def link(self, target: str) -> None:
        """When one of the two ends abnormally, so does the other; one that traps exits gets `on_down` instead.

        Raises:
            InvalidInput: no id, or its own.
        """
        self._acts.append(Link(target=self._other(target)))

    def unlink(self, target: str) -> None:
        """There is no link between the two, whoever made it."""
        self._acts.append(Unlink(target=self._other(target)))

    def trap_exit(self, on: bool = True) -> None:
        """From this tick on exits of those it is linked with are mail for `on_down`, normal ones too."""
        self._acts.append(TrapExit(on=on))

    def supervise(
        self,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 5,
        max_seconds: int = 300,
        max_burn: BudgetVector = BudgetVector({}),
    ) -> None:
        """Children that are spawned with a `restart` are supervised so, from this tick on.

        When one has to be restarted more than `max_restarts` times within `max_seconds`, when those that were
        restarted have used more than `max_burn`, or when nothing is left of the budget of one, this one gives up: it
        fails (`supervisor_gave_up`), and its parent is told.

        Args:
            strategy: who is restarted with the one that failed: nobody, all, or those spawned after it.
        """
        self._acts.append(
            Supervise(strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, max_burn=max_burn)
        )

    def child(self, first: ContinuationId) -> ContinuationId:
        """Who is now in the place of the child that was spawned as `first`."""
        kids = self._before.children.items()
        return next((cid for cid, kid in kids if first in (cid, kid.first)), first)

    def _other(self, target: str) -> ContinuationId:
        whom = check_continuation_id(target, "target")
        if whom == self._before.id:
            raise InvalidInput(f"{whom} cannot watch itself", field="target", hint="name another")
        return whom


@dataclass(slots=True)
class Knots:
    """The ties of one continuation while a tick is folded."""

    known: dict[str, Tie]
    trap_exit: bool
    supervision: Supervision
    watches: list[tuple[Watch, Mail]] = field(default_factory=list)
    """Those of its partition, each with what it tells where the target does not live."""
    unwatched: list[Watch] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)

    @staticmethod
    def of(before: Checkpoint, consumed: Iterable[Mail]) -> "Knots":
        """As `before` tells of them, less those whose end was read."""
        told = {mail.correlation for mail in consumed if mail.kind is Kind.DOWN}
        known = {ref: tie for ref, tie in before.ties.items() if ref not in told}
        return Knots(known, before.trap_exit, before.supervision)

    def fold(self, act: Tying, ordinal: int, facts: Facts) -> None:
        me = facts.before.id
        match act:
            case Monitor():
                self.known[act.ref] = Tie(target=act.target)
                self._watch(Watch(act.target, me, act.ref), ordinal, facts)
            case Demonitor():
                self.known.pop(act.ref, None)
                self._unwatch(Watch(act.target, me, act.ref), ordinal, facts)
            case Link():
                ref = link_ref(me, act.target)
                self._watch(Watch(me, act.target, ref, link=True), ordinal, facts)
                self._watch(Watch(act.target, me, ref, link=True), ordinal, facts)
            case Unlink():
                ref = link_ref(me, act.target)
                self._unwatch(Watch(me, act.target, ref, link=True), ordinal, facts)
                self._unwatch(Watch(act.target, me, ref, link=True), ordinal, facts)
            case TrapExit():
                self.trap_exit = act.on
            case Supervise():
                self.supervision = supervised(act, self.supervision)
            case _:
                assert_never(act)

    def cut(self, facts: Facts) -> None:
        """It ends: it watches nobody any more. Its links tell their other sides, and are gone with that."""
        self.watches.clear()
        for number, (ref, tie) in enumerate(self.known.items(), start=30_000):
            self._unwatch(Watch(tie.target, facts.before.id, ref), number, facts)
        self.known = {}

    def _watch(self, watch: Watch, ordinal: int, facts: Facts) -> None:
        if self._is_here(watch, facts):
            answer = MailId(f"noproc:{facts.before.id}:{facts.rev}:{ordinal}")
            self.watches.append((watch, watch.answered(answer, facts.now_ms)))
        else:
            self.outbox.append(_row("watch", watch, ordinal, facts))

    def _unwatch(self, watch: Watch, ordinal: int, facts: Facts) -> None:
        self.watches = [(known, answer) for known, answer in self.watches if known != watch]
        if self._is_here(watch, facts) or watch.watcher == facts.before.id:
            self.unwatched.append(watch)
        if not self._is_here(watch, facts):
            self.outbox.append(_row("unwatch", watch, ordinal, facts))

    def _is_here(self, watch: Watch, facts: Facts) -> bool:
        return partition_of(watch.target) == partition_of(facts.before.id)


def word_of_end(facts: Facts, after: Checkpoint) -> Mail | None:
    """What those who watch it are told; None while it lives."""
    if not after.terminal:
        return None
    reason = "normal" if after.status is Status.COMPLETED else after.stop_reason or _HARNESS
    return last_word(after.id, after.status.value, reason, after.stop_detail, facts.now_ms)


def unheard(before: Checkpoint, mail: Mail) -> bool:
    """True for the end of one that it does not monitor any more, and a normal one of one that it is linked with."""
    if mail.kind is Kind.DOWN:
        return mail.correlation not in before.ties
    return mail.kind is Kind.EXIT and not before.trap_exit and _told(mail).get("status") == Status.COMPLETED


def dragged_along(before: Checkpoint, inbox: Sequence[Mail]) -> Transition | None:
    """The end of one whose other side ended abnormally; None where it traps exits."""
    ends = [mail for mail in inbox if mail.kind is Kind.EXIT and not unheard(before, mail)]
    if before.trap_exit or not ends:
        return None
    told = _told(ends[0])
    reason, detail = str(told.get("reason", _HARNESS)), str(told.get("detail") or "")
    closing = Fail(reason=f"linked with {ends[0].sender}, which ended: {detail or reason}"[:1_000])
    return Transition(before.state, (), closing, stop_reason=reason)


def _row(kind: str, watch: Watch, ordinal: int, facts: Facts) -> OutboxRow:
    return OutboxRow(f"{facts.before.id}:{facts.rev}:{ordinal}", kind, watch.target, watch.dumps())


def _told(mail: Mail) -> Mapping[str, object]:
    return mail.body if isinstance(mail.body, dict) else {}
