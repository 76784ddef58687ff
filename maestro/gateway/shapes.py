"""What the HTTP API is asked and what it answers: one frozen model for each, and the OpenAPI file is made of them.

Invariants: an unknown field of a request is refused by its name; money is integers of micro-dollars in answers and
exact text in requests; times are milliseconds of the store's clock. Text in answers is data, whoever wrote it.
What is not here: which path takes and gives which (`docs/reference/http-api.md`, the routes), and the events of the
streams (`maestro.gateway.events`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

MAX_PAGE = 500
MAX_BULK = 10_000  # what one request does within its time; who wants more, asks again
ROOTS = "none"
"""In place of a parent's id: those that have none."""

Group = Literal["thinking", "sleeping", "waiting_on_you", "finished"]
"""thinking: held by an actor, or ready for one. finished: completed, failed, expired, cancelled or superseded."""
Role = Literal["viewer", "approver", "operator", "admin"]
SteeringVerb = Literal["kill", "cancel", "freeze", "thaw", "wake", "rebudget", "fork", "merge", "migrate"]
Sort = Literal["updated", "created", "spent", "name"]
CostKey = Literal[
    "behaviour", "tier", "provider", "model", "day", "continuation", "account", "tenant", "key", "project", "session",
    "domain", "step", "status",
]  # fmt: skip
Amount = Annotated[str, StringConstraints(pattern=r"^[+-]?[0-9]{1,16}(\.[0-9]{1,6})?$")]
"""Exactly as people write it: "1.50", "+1.00", "-2". Dollars have up to six decimals, the others none."""
Amounts = Annotated[dict[str, Amount], Field(max_length=32)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Cid = Annotated[str, StringConstraints(pattern=r"^[0-9a-hjkmnp-tv-z]{22}-[0-9a-z]{1,4}$")]
Words = Annotated[str, StringConstraints(max_length=2_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=50_000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Shape(BaseModel):
    """Whatever crosses the network."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Problem(Shape):
    """Every answer of status 400 and above."""

    code: str
    message: str
    field: str | None = None
    hint: str | None = None
    request_id: str


# ---------------------------------------------------------------- who asks


class Login(Shape):
    code: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """The one-time code of the link that `maestro up` prints."""


class Me(Shape):
    """Who asks, and what they may."""

    id: str
    name: str
    role: Role
    tenant: str
    subtree: str | None
    """Only this continuation and its descendants exist for whoever asks; None: all."""
    expires_at_ms: int | None
    can: list[str]
    """`look`, `answer`, `steer`, `administer`."""
    csrf: str | None
    """What a browser sends back as `X-Maestro-CSRF` with every POST, PATCH and DELETE; None for a bearer token."""


class TokenAsked(Shape):
    name: Label
    role: Role
    expires_in_s: Annotated[int, Field(ge=60, le=10 * 366 * 86_400)] | None = None
    subtree: Cid | None = None


class Token(Shape):
    """A token as it may be shown: never itself."""

    id: str
    name: str
    role: Role
    subtree: str | None
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None = None


class TokenMade(Token):
    """The one answer that holds a token."""

    token: str


class Tokens(Shape):
    items: list[Token]


# ---------------------------------------------------------------- continuations


class Account(Shape):
    """One resource of a budget: usd in micro-dollars, others counted. null: nothing limits it."""

    granted: int | None
    free: int | None
    reserved: int
    spent: int
    lent: int
    soft_cap: int | None = None


class Row(Shape):
    """One line of a rail."""

    id: str
    name: str | None
    behaviour: str
    goal: str
    group: Group
    activity: Literal["thinking", "ready", "sleeping", "waiting_on_you", "done"]
    status: str
    hold: str | None
    """frozen, quarantined, needs_migration, unservable, damaged."""
    reason: str
    """Why it is as it is, in one sentence; the sentence of `maestro why`."""
    parent: str | None
    root: str
    children: int
    rev: int
    unread: int
    usd: Account
    next_wake_ms: int | None
    waits_until_ms: int | None
    """When its open wait times out."""
    pool: str
    actor: str | None
    created_at_ms: int
    updated_at_ms: int


class Counts(Shape):
    """How many there are in each group, of those that the filter leaves."""

    thinking: int = 0
    sleeping: int = 0
    waiting_on_you: int = 0
    finished: int = 0


class Rows(Shape):
    items: list[Row]
    next_cursor: str | None
    """Give it back as `cursor` for the page behind this one; null on the last."""
    total: int
    counts: Counts
    """Of all that the filter but for `group` leaves."""
    complete: bool
    """False while the API, just begun, is still reading the store; then rows are missing."""
    spent_usd_micros: int
    """Of all that the filter leaves."""


class ChildRow(Shape):
    """One continuation of a tree; parents stand before their children."""

    depth: int
    row: Row


class Tree(Shape):
    root: str
    items: list[ChildRow]
    truncated: bool


class Started(Shape):
    id: str


class Start(Shape):
    behaviour: Label
    goal: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    budget: Amounts = {}
    """Nothing said: what the installation gives by default."""
    input: JsonValue = None
    name: Label | None = None
    pool: Label | None = None
    supersede: bool = False
    scopes: Annotated[list[Annotated[str, StringConstraints(max_length=100)]], Field(max_length=64)] = []
    account: Annotated[str, StringConstraints(max_length=300)] | None = None


class Child(Shape):
    id: str
    status: str
    behaviour: str | None


class Continuation(Shape):
    """Everything about one; what `maestro show -o json` tells."""

    row: Row
    show: dict[str, JsonValue]
    """The stable record of `maestro show -o json`: id, name, ..., wait, budget, state, result, findings."""


class Why(Shape):
    id: str
    why: str


class Budgets(Shape):
    id: str
    resources: dict[str, Account]


class LogPage(Shape):
    """Committed ticks, one record each, as `maestro log -o jsonl` prints them; oldest first."""

    items: list[dict[str, JsonValue]]
    next_after: int | None
    last_rev: int


class CallSeen(Shape):
    """One effect of a tick: a model call, a tool call, advice."""

    ordinal: int
    kind: str
    outcome: str
    decision: str | None
    usd_micros: int
    tokens: int


class TickSeen(Shape):
    """One tick of a timeline."""

    rev: int
    at_ms: int
    woken_by: str | None
    """Kind of the trigger: start, message, event, timer, reply, approval, result, child, control."""
    woken_from: str | None
    subject: str | None
    reason: str
    """How it ended: why it waits, or what became of it."""
    decided_alone: str | None
    """What was decided in place of a person, because nobody did in time."""
    directives: list[str]
    calls: list[CallSeen]
    charges: dict[str, int]
    spent_usd_micros: int
    """In all, up to and with this tick, as far back as the page reaches its beginning; else of the page alone."""


class Timeline(Shape):
    """Ticks newest first."""

    id: str
    items: list[TickSeen]
    next_before: int | None
    last_rev: int


# ---------------------------------------------------------------- field


class FieldRow(Shape):
    """One entry of a context field, as a model would be shown it."""

    id: str
    title: str
    source: str
    state: str
    """active, pinned, ..."""
    view: str
    """full, summary, outline, title."""
    score: float | None
    weight: float | None
    age_ms: int | None
    """null where it is not kept: of a context as it was."""
    reason: str
    taint: str
    body: str
    entry: dict[str, JsonValue]


class Then(Shape):
    """Of a context as it was: which call saw it."""

    rev: int | None
    """The tick of that call; null where there was none up to the tick that was asked for."""
    hash: str | None = None
    """SHA-256 of its manifest."""
    tokens: int | None = None
    """Estimate of the whole request."""
    left_out: int | None = None
    """Entries that were offered and had no room."""


class FieldSeen(Shape):
    id: str
    items: list[FieldRow]
    at_ms: int
    """When this was so: now, or when that tick began."""
    then: Then | None = None
    """null: now."""


class FieldCommands(Shape):
    commands: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    """pin|unpin|collapse|expand|hide|remove|restore #id; show N levels under #id; several parted by `;`."""


class FieldEdited(Shape):
    id: str
    changed: list[str]
