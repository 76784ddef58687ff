"""Directives: decided outward acts. They take part in the commit and happen after it, once.

A tick buffers any number of acts and ends in exactly one *closing* directive: Sleep, Finish or Fail.
The union is closed: the fold has a case for each, and `assert_never` behind them.

Source: DESIGN section 3; Jido's directives.
"""

import hashlib
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.edits import Edit
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.predicate import MAX_FILTERS, Predicate
from maestro.continuation.supervision import Restart, Strategy
from maestro.continuation.wait import (
    AnyOf,
    ApprovalResolution,
    BudgetGrant,
    Children,
    ExternalResult,
    ScheduledWake,
    StreamEvent,
    UserReply,
    WaitFor,
)
from maestro.ids import ContinuationId, EntryId, Rev, TimeMs, derived_token

MAX_WAKES_PER_DAY = 1_000_000
MAX_COALESCE_MS = 3_600_000  # a sleeper that waits longer than an hour wants a timer


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interest(_Shape):
    """A standing wish to be woken by events; part of the checkpoint."""

    id: str
    pattern: str
    relevance: Annotated[float, Field(ge=0, le=1)] | None = None
    """Wake only at this score against the goal or above; below it the event still enters the field."""
    coalesce_ms: Annotated[int, Field(ge=0, le=MAX_COALESCE_MS)] = 0
    """The first event waits so long for others before it wakes; all of them are one tick."""
    filters: Annotated[tuple[Predicate, ...], Field(max_length=MAX_FILTERS)] = ()
    """Only events whose payload is as all of these say."""
    wakes_per_day: Annotated[int, Field(ge=0, le=MAX_WAKES_PER_DAY)] | None = None
    """So often it may wake in a day of UTC; what comes beyond that enters the field and wakes nobody."""
    until_ms: TimeMs | None = None
    """From then on it matches nothing; the next tick drops it."""


CatchUp = Literal["one", "all", "skip"]


class Recurring(_Shape):
    """How a timer that fires again and again goes on; part of the checkpoint."""

    every_ms: Annotated[int, Field(ge=1)]
    catch_up: CatchUp = "one"
    """What is seen of moments that were missed: one mail that counts them, one for each, or nothing of that time."""


OnParentEnd = Literal["linked", "detached", "adopt_up"]
"""What becomes of a child when its parent ends: it is stopped, it goes on alone, or the grandparent is its parent."""


class Spawn(_Shape):
    """A child is born with a part of this continuation's budget."""

    type: Literal["spawn"] = "spawn"
    child: ContinuationId
    behaviour: str
    goal: GoalFrame
    budget: BudgetVector
    input: JsonValue = None
    pool: str = "default"
    on_parent_end: OnParentEnd = "linked"
    restart: Restart = "temporary"
    """Whether another takes its place when it ends: always, after a failure, or never."""
    scopes: tuple[str, ...] = ()


class Grant(_Shape):
    """A living child gets more of this continuation's budget."""

    type: Literal["grant"] = "grant"
    child: ContinuationId
    amount: BudgetVector


class Send(_Shape):
    """A message goes to another continuation."""

    type: Literal["send"] = "send"
    to: ContinuationId
    subject: str = ""
    body: JsonValue = None
    supersedes: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """An unread message of this sender with the same name gives way to it."""
    expires_ms: TimeMs | None = None
    """Unread by then, nobody reads it."""
    cause: str | None = None
    """The mail in whose handler it was written; None: all that its tick has read."""


class Publish(_Shape):
    """An event goes to all who subscribed."""

    type: Literal["publish"] = "publish"
    subject: str
    event_type: str
    key: str
    payload: JsonValue
    version: Annotated[int, Field(ge=1)] = 1
    """Of the type: what the payload looks like (maestro.mesh.schemas)."""
    cause: str | None = None
    """As of a message."""


class Report(_Shape):
    """A finding becomes public."""

    type: Literal["report"] = "report"
    finding: Finding
    cause: str | None = None
    """As of a message."""


class Subscribe(_Shape):
    type: Literal["subscribe"] = "subscribe"
    interest: Interest


class Unsubscribe(_Shape):
    type: Literal["unsubscribe"] = "unsubscribe"
    interest_id: str


class SetTimer(_Shape):
    """A mail of kind `timer` arrives at `due_ms`, never before; the same id again replaces it."""

    type: Literal["set_timer"] = "set_timer"
    timer_id: str
    due_ms: TimeMs
    recurring: Recurring | None = None


class CancelTimer(_Shape):
    type: Literal["cancel_timer"] = "cancel_timer"
    timer_id: str


class Monitor(_Shape):
    """The end of `target` is told, once, by a mail of kind `down`."""

    type: Literal["monitor"] = "monitor"
    target: ContinuationId
    ref: str


class Demonitor(_Shape):
    """A monitor is over, and what it told already is unheard."""

    type: Literal["demonitor"] = "demonitor"
    target: ContinuationId
    ref: str


class Link(_Shape):
    """When one of the two ends, the other is told, and ends too unless it traps exits."""

    type: Literal["link"] = "link"
    target: ContinuationId


class Unlink(_Shape):
    """There is no link between the two, and what it told already is unheard."""

    type: Literal["unlink"] = "unlink"
    target: ContinuationId


class TrapExit(_Shape):
    """From now on exits are read as mail (`on`), or end it."""

    type: Literal["trap_exit"] = "trap_exit"
    on: bool


class Supervise(_Shape):
    """How children that are restarted are supervised from now on: see Supervision."""

    type: Literal["supervise"] = "supervise"
    strategy: Strategy = "one_for_one"
    max_restarts: Annotated[int, Field(ge=0, le=1_000)] = 5
    max_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    max_burn: BudgetVector = BudgetVector({})


class EditField(_Shape):
    """The context is shown otherwise from now on."""

    type: Literal["edit_field"] = "edit_field"
    commands: str
    changes: dict[EntryId, Edit | None]
    """What is in force from now on for each; None for what was undone."""


class Sleep(_Shape):
    """The tick ends; the continuation sleeps until `wait` is over."""

    type: Literal["sleep"] = "sleep"
    wait: WaitFor = StreamEvent()

    @staticmethod
    def until_woken(because: str = "") -> "Sleep":
        """Until an event, a message, a timer or a child's end; `because` is what `why` then says."""
        return Sleep(wait=StreamEvent(because=because))

    @staticmethod
    def until(wake_at_ms: int) -> "Sleep":
        """Until a moment on the store's clock, or until woken before."""
        return Sleep(wait=AnyOf(waits=(ScheduledWake(wake_at_ms=TimeMs(wake_at_ms)), StreamEvent())))


class Finish(_Shape):
    """The continuation is done; `result` goes to its parent and to whoever waits for it."""

    type: Literal["finish"] = "finish"
    result: JsonValue = None


class Fail(_Shape):
    """The continuation gives up."""

    type: Literal["fail"] = "fail"
    reason: str


class Wait:
    """Waits as behaviours write them; each returns the Sleep that ends the tick."""

    @staticmethod
    def reply(question: str) -> Sleep:
        """Until a person answers."""
        return Sleep(wait=UserReply(question_id=derived_token("question", question), question=question))

    @staticmethod
    def result(operation_id: str) -> Sleep:
        """Until the outcome of an operation outside is told."""
        return Sleep(wait=ExternalResult(operation_id=operation_id))

    @staticmethod
    def children(*ids: ContinuationId, needed: int | None = None) -> Sleep:
        """Until `needed` of these children ended; all of them by default."""
        return Sleep(wait=Children(ids=ids, needed=len(ids) if needed is None else needed))

    @staticmethod
    def budget(resource: str) -> Sleep:
        """Until somebody grants more of `resource`."""
        return Sleep(wait=BudgetGrant(resource=resource))

    @staticmethod
    def any_of(*sleeps: Sleep) -> Sleep:
        """Until the first of several waits is over."""
        return Sleep(wait=AnyOf(waits=tuple(sleep.wait for sleep in sleeps)))


Closing = Annotated[Sleep | Finish | Fail, Field(discriminator="type")]
Act = Annotated[
    Spawn
    | Grant
    | Send
    | Publish
    | Report
    | Subscribe
    | Unsubscribe
    | SetTimer
    | CancelTimer
    | Monitor
    | Demonitor
    | Link
    | Unlink
    | TrapExit
    | Supervise
    | EditField,
    Field(discriminator="type"),
]
Directive = Act | Closing


def approval(action: str, arguments: JsonValue, cid: ContinuationId, rev: Rev) -> ApprovalResolution:
    """The wait for a person's word on exactly this action, asked by exactly this tick."""
    canonical = orjson.dumps([action, arguments, cid, rev], option=orjson.OPT_SORT_KEYS)
    binding = hashlib.sha256(canonical).hexdigest()
    return ApprovalResolution(
        approval_id=derived_token("approval", binding), action=action, arguments=arguments, binding=binding
    )
