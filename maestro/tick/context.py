"""What a behaviour sees and may do during one tick.

Two kinds of outward act, never mixed. An *effect* (`think`) is awaited: its answer is journaled, and a repeated tick
gets the same answer without asking again. A *directive* (`spawn`, `publish` ...) is only noted here; it takes part in
the commit and happens after it, once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, JsonValue

from maestro.budget.standing import AT_EASE, NOBODY_SHORT, Level, Standings
from maestro.budget.vector import USD, BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import (
    Act,
    CancelTimer,
    CatchUp,
    Grant,
    Interest,
    OnParentEnd,
    Publish,
    Recurring,
    Report,
    Send,
    SetTimer,
    Sleep,
    Spawn,
    Subscribe,
    Unsubscribe,
    approval,
)
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.mail import Kind, Mail, check_body, expiry
from maestro.continuation.predicate import Predicate
from maestro.continuation.supervision import Restart
from maestro.continuation.wait import WAKE_TIMER, ApprovalResolution, OnApprovalTimeout, parts
from maestro.errors import BudgetExceededError, InvalidInput
from maestro.ids import ContinuationId, Rev, TimeMs, check_continuation_id, check_label, child_id, derived_token
from maestro.mesh.subject import check_pattern, check_subject
from maestro.tick.digest import Digest, digest_of
from maestro.tick.exchange import Equipped
from maestro.tick.listening import Listening
from maestro.tick.own import OwnHands
from maestro.tick.thinking import Thinker, Thinking
from maestro.tick.ties import Ties
from maestro.tick.using import Using
from maestro.tools.guard import shared_scopes

State = TypeVar("State", bound=BaseModel)

MAX_SPAWNS = 16  # per tick; PROMISES B43


class Mind(Thinker, Protocol):
    """Carries out the effects of one tick, in order and once."""


class Tick(Ties, Using, Thinking, Listening, Generic[State]):
    """One tick of one continuation."""

    def __init__(
        self,
        before: Checkpoint,
        state: State,
        inbox: Sequence[Mail],
        free: BudgetVector,
        mind: Mind,
        rev: Rev,
        now_ms: TimeMs,
        standings: Standings = NOBODY_SHORT,
    ) -> None:
        self.state = state
        self.inbox = tuple(inbox)
        self.now_ms = now_ms
        self._before = before
        self._free = free
        self._standings = standings
        self._mind: Mind = mind  # pyright: ignore[reportIncompatibleVariableOverride] - set here, and never again
        self._rev = rev
        self._acts: list[Act] = []
        self._reading: str | None = None

    @property
    def id(self) -> ContinuationId:
        return self._before.id

    @property
    def goal(self) -> GoalFrame:
        return self._before.goal

    @property
    def about(self) -> Checkpoint:
        """The checkpoint that this tick started from: input, parent, children, interests."""
        return self._before

    @property
    def trigger(self) -> Mail | None:
        """The mail that woke this tick."""
        return self.inbox[0] if self.inbox else None

    @contextmanager
    def reading(self, mail: Mail) -> Iterator[None]:
        """What is written meanwhile is because of `mail` alone, and not of all that this tick reads."""
        self._reading = mail.id
        try:
            yield
        finally:
            self._reading = None

    @property
    def digest(self) -> Digest:
        """What the mail of this tick is about, however much it is: counts, times, and the first few by name."""
        return digest_of(self.inbox)

    @property
    def budget(self) -> BudgetVector:
        """What is still free of each limited resource, less what this tick has promised to children."""
        promised = [
            act.budget if isinstance(act, Spawn) else act.amount for act in self._acts if isinstance(act, Spawn | Grant)
        ]
        return BudgetVector({name: max(0, free - sum(p[name] for p in promised)) for name, free in self._free.items()})

    def pressure(self, resource: str = USD) -> Level:
        """How little of it was left when this tick began, as the feed and the event `budget.pressure.ID` told it."""
        return self._standings.get(resource, AT_EASE).level

    @property
    def acts(self) -> tuple[Act, ...]:
        """The directives so far, in their order."""
        return tuple(self._acts)

    def spawn(
        self,
        behaviour: str | type,
        *,
        goal: str | GoalFrame,
        budget: BudgetVector,
        input: JsonValue = None,
        pool: str | None = None,
        on_parent_end: OnParentEnd = "linked",
        scopes: Sequence[str] | None = None,
        restart: Restart = "temporary",
    ) -> ContinuationId:
        """A child is born with the commit; returns its id, the same in every try of this tick.

        Args:
            on_parent_end: when this one ends, the child is stopped (`linked`), goes on alone with the money that it
                has (`detached`), or has the nearest living ancestor as its parent (`adopt_up`).
            scopes: what the child may use tools for; by default, all that this one may.
            restart: another takes its place: never, whenever it ends, or when it failed; see `supervise`.

        Raises:
            ToolDenied: `scopes` are more than this one has.
            BudgetExceededError: `budget` is more than is free now.
            InvalidInput: more than MAX_SPAWNS children in one tick, or more living ones than the bounds allow.
        """
        spawns = sum(isinstance(act, Spawn) for act in self._acts)
        if spawns >= MAX_SPAWNS:
            raise InvalidInput(
                f"more than {MAX_SPAWNS} children in one tick", field="spawn", hint="spawn the rest next tick"
            )
        self._require_room(spawns)
        self._require(budget)
        name = behaviour if isinstance(behaviour, str) else getattr(behaviour, "name", behaviour.__name__)
        child = child_id(self.id, self._rev, spawns, self._before.updated_at_ms)
        where = pool or str(getattr(behaviour, "pool", "default"))
        where = f"dedicated-{child}" if where == "dedicated" else where
        self._acts.append(
            Spawn(
                child=child,
                behaviour=check_label(name, "behaviour"),
                goal=GoalFrame(goal=goal) if isinstance(goal, str) else goal,
                budget=budget,
                input=input,
                pool=check_label(where, "pool"),
                on_parent_end=on_parent_end,
                restart=restart,
                scopes=shared_scopes(self._before.scopes, scopes),
            )
        )
        return child

    def grant(self, child: ContinuationId, amount: BudgetVector) -> None:
        """A living child gets more of this budget, and is told.

        Raises:
            BudgetExceededError: `amount` is more than is free now.
            InvalidInput: `child` is no child of this continuation.
        """
        if child not in self._before.children:
            raise InvalidInput(f"{child} is no child of {self.id}", field="child", hint="grant to children only")
        self._require(amount)
        self._acts.append(Grant(child=child, amount=amount))

    def send(
        self,
        to: str,
        body: JsonValue,
        subject: str = "",
        *,
        supersedes: str | None = None,
        expires_in_ms: int | None = None,
    ) -> None:
        """A message to another continuation.

        Args:
            supersedes: names what it is about: an unread message of mine there with the same name gives way to it.
            expires_in_ms: unread by then, nobody reads it.

        Raises:
            InvalidInput: the body is no JSON or too large; a name or a time that is none.
        """
        expires_ms = expiry(self.now_ms, expires_in_ms)
        receiver = check_continuation_id(to, "to")
        name = None if supersedes is None else check_label(supersedes, "supersedes")
        self._acts.append(
            Send(
                to=receiver, subject=subject, body=check_body(body), supersedes=name, expires_ms=expires_ms,
                cause=self._reading,
            )
        )  # fmt: skip

    def publish(
        self, what: Finding | str, payload: JsonValue = None, *, key: str | None = None, type: str = "event",
        version: int = 1,
    ) -> None:  # fmt: skip
        """A finding becomes public, or an event goes to all who subscribed to the subject `what`.

        Args:
            key: the same (publisher, key) again is the same event; by default unique to this act.
        """
        if isinstance(what, Finding):
            self._acts.append(Report(finding=what, cause=self._reading))
            return
        name = key or derived_token("event", self.id, self._rev, len(self._acts))
        self._acts.append(
            Publish(
                subject=check_subject(what), event_type=type, key=name, payload=payload, version=version,
                cause=self._reading,
            )
        )  # fmt: skip

    def subscribe(
        self, pattern: str, *filters: Predicate, relevance: float | None = None, coalesce_ms: int = 0,
        wakes_per_day: int | None = None, until_ms: int | None = None,
    ) -> str:  # fmt: skip
        """Events whose subject matches `pattern` arrive from the commit on; returns the interest's id.

        Args:
            filters: only events whose payload is as all of these say (maestro.continuation.predicate).
            relevance: wake only for events that score at least this (0..1) against the goal; others enter the field.
            coalesce_ms: the first event waits so long for others (at most an hour), and all of them are one tick.
            wakes_per_day: beyond so many wakes in a day of UTC, events enter the field and wake nobody.
            until_ms: from then on, on the store's clock, nothing arrives any more.
        """
        interest_id = derived_token("interest", self.id, check_pattern(pattern))
        interest = Interest(
            id=interest_id, pattern=pattern, filters=filters, relevance=relevance, coalesce_ms=coalesce_ms,
            wakes_per_day=wakes_per_day, until_ms=None if until_ms is None else TimeMs(until_ms),
        )  # fmt: skip
        self._acts.append(Subscribe(interest=interest))
        return interest_id

    def unsubscribe(self, interest_id: str) -> None:
        self._acts.append(Unsubscribe(interest_id=interest_id))

    def set_timer(self, timer_id: str, due_ms: int) -> None:
        """`on_timer(timer_id)` runs at `due_ms` on the store's clock or later, never before; once.

        Raises:
            InvalidInput: no label, or the name of the timer that `Sleep.until` sets.
        """
        self._acts.append(SetTimer(timer_id=_timer_name(timer_id), due_ms=TimeMs(due_ms)))

    def every(self, timer_id: str, every_ms: int, catch_up: CatchUp = "one") -> None:
        """`on_timer(timer_id)` runs each `every_ms` from now on, never early, until `cancel_timer`.

        Moments that passed unread (asleep on something else, held, frozen, with no actor) are caught up with by `one`
        mail that counts them, by `all` of them, or not at all (`skip`). The mail of a moment is in `tick.inbox`; its
        body has `due_ms`, and in `missed` how many moments it stands for beside its own.

        Raises:
            InvalidInput: no label, or a period of no time.
        """
        if every_ms < 1:
            raise InvalidInput(f"a period of {every_ms} ms", field="every_ms", hint="give at least 1 ms")
        rule = Recurring(every_ms=every_ms, catch_up=catch_up)
        due_ms = TimeMs(self.now_ms + every_ms)
        self._acts.append(SetTimer(timer_id=_timer_name(timer_id), due_ms=due_ms, recurring=rule))

    def cancel_timer(self, timer_id: str) -> None:
        self._acts.append(CancelTimer(timer_id=timer_id))

    def ask_approval(
        self,
        action: str,
        arguments: JsonValue = None,
        *,
        ttl_ms: int | None = None,
        on_timeout: OnApprovalTimeout = "expire",
        on_denied: Literal["end", "resume"] = "end",
        approvers: Sequence[str] = (),
        escalate_to: Sequence[str] = (),
    ) -> Sleep:
        """The wait for a person's word on exactly this action; return it, or combine it with Wait.any_of.

        The same action with the same arguments as is being asked already goes on being asked. It is bound to the state
        that this tick ends with: a tick that changes the state makes the word on it invalid, and asks again.

        Args:
            ttl_ms: how long the question stands; by default what the bounds or the installation say.
            on_timeout: what becomes of it then; `approve` and `deny` decide in place of a person, and are marked so.
            on_denied: `end` ends the continuation without another line of its code, `resume` runs `on_approval`.
            approvers: who is notified.
            escalate_to: who is told when it escalates.
        """
        for part in parts(self._before.wait) if self._before.wait is not None else ():
            if isinstance(part, ApprovalResolution) and (part.action, part.arguments) == (action, arguments):
                return Sleep(wait=part)
        asked = approval(action, arguments, self.id, self._rev)
        terms = {"ttl_ms": ttl_ms, "on_timeout": on_timeout, "on_denied": on_denied}
        names = {"approvers": tuple(approvers), "escalate_to": tuple(escalate_to)}
        return Sleep(wait=ApprovalResolution(**{**asked.model_dump(), **terms, **names}))

    def _hands(self) -> Equipped:
        return OwnHands(self, self._acts, self._mind)

    def _require_room(self, spawned: int) -> None:
        """The bounds allow one more living child; one whose end is being read lives no more.

        Raises:
            InvalidInput: they do not.
        """
        most = self._before.bounds.max_children
        ended = {mail.child for mail in self.inbox if mail.kind is Kind.CHILD}
        kids = self._before.children.items()
        living = spawned + sum(kid.status not in TERMINAL and cid not in ended for cid, kid in kids)
        if most is not None and living >= most:
            raise InvalidInput(
                f"{living} children live, and {most} may", field="bounds.max_children", hint="wait until one has ended"
            )

    def _require(self, amount: BudgetVector) -> None:
        free = self.budget
        short = free.short_of(amount)
        if short is not None:
            raise BudgetExceededError(
                f"cannot lend {amount[short]} {short}: only {free[short]} free",
                field=f"budget.{short}",
                hint=f"lend less, or `maestro rebudget {self.id} {short}=+{amount[short] - free[short]}`",
                resource=short,
                asked=amount[short],
                free=free[short],
            )


def _timer_name(timer_id: str) -> str:
    if timer_id == WAKE_TIMER:
        raise InvalidInput(f"{WAKE_TIMER!r} is the timer of Sleep.until", field="timer_id", hint="choose another")
    return check_label(timer_id, "timer_id")
