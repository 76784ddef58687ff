"""What people are asked, what was found, spent and has happened, as the API tells it (see `maestro.gateway.shapes`)."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, StringConstraints

from maestro.gateway.shapes import MAX_PAGE, Amounts, Cid, CostKey, Counts, Group, Shape, Text


class WaitItem(Shape):
    """One thing that a person is asked. A continuation may ask several."""

    id: str
    """`<continuation>/<question or approval>`: names this wait for ever."""
    continuation: str
    name: str | None
    behaviour: str
    goal: str
    kind: Literal["question", "approval", "budget", "disagreement", "held"]
    question: str
    action: str | None = None
    arguments: JsonValue = None
    binding: str | None = None
    resource: str | None = None
    asked_amount: int | None = None
    free_amount: int | None = None
    since_ms: int
    until_ms: int | None
    on_timeout: str | None
    """expire, escalate, resume, approve or deny."""
    then: str
    """What happens at timeout, in words; empty without one."""
    notified: str | None = None
    """`told`, or `failed: ...`: a failed notification is shown on the wait."""
    approvers: list[str] = Field(default_factory=list)
    escalated: int = 0
    verbs: list[Literal["reply", "approve", "deny", "rebudget", "thaw", "kill"]]
    """What may be done, in the order to offer it."""
    decided_by: str | None = None
    delegated_to: str | None = None
    """Who is meant to answer; whoever may answer still may."""
    delegated_by: str | None = None
    words: str = ""
    """What was said with the hand-over."""
    snoozed_until_ms: int | None = None
    """Until when whoever asks has put it off."""


class Waits(Shape):
    items: list[WaitItem]
    total: int
    snoozed: int = 0
    """How many more whoever asks has put off."""


class Answer(Shape):
    """Of `POST /v1/waits/{id}/answer`."""

    verb: Literal["reply", "approve", "deny", "rebudget", "thaw", "kill"]
    text: Text | None = None
    binding: Annotated[str, StringConstraints(max_length=128)] | None = None
    edited: JsonValue = None
    budget: Amounts | None = None


FindingStatus = Literal["new", "accepted", "rejected", "superseded"]


class FindingSeen(Shape):
    """One finding with its provenance."""

    id: str
    title: str
    body: str
    links: list[str]
    evidence: list[str]
    confidence: float | None
    supersedes: str | None
    status: FindingStatus
    note: str
    place: float | None
    """Where a person has put it in the notebook; null: by its time, which is the place `-at_ms`."""
    marked_by: str | None
    continuation: str
    root: str
    behaviour: str
    goal: str
    rev: int | None
    at_ms: int
    tier: str | None
    cost_usd_micros: int | None
    """What its continuation has spent by now."""


class Findings(Shape):
    """In notebook order: the lowest place first, so the newest where nobody has put one elsewhere."""

    items: list[FindingSeen]
    next_cursor: str | None
    total: int


class Notebook(Shape):
    """A page of findings, as a URL asks for it."""

    model_config = ConfigDict(strict=False)

    status: FindingStatus | None = None
    root: Cid | None = None
    continuation: Cid | None = None
    q: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Literally in the title, the body or the note, whatever the case."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: Annotated[str, StringConstraints(max_length=2_000)] | None = None


class Mark(Shape):
    """A change of what a person holds of a finding; what is not said stays."""

    status: FindingStatus | None = None
    note: Annotated[str, StringConstraints(max_length=10_000)] | None = None
    place: Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)] | None = None


class CostRow(Shape):
    by: dict[str, str]
    calls: int
    tokens: int
    usd_micros: int


class Costs(Shape):
    by: list[CostKey]
    items: list[CostRow]
    """The dearest first, 2,000 at most."""
    left_out: int = 0
    """Rows that were cheaper than all of these; the sums below have them."""
    total_usd_micros: int
    ledger_usd_micros: int
    open_usd_micros: int
    """Between the two: spent before an import, or dropped by the feed before it was kept."""


class PoolSeen(Shape):
    pool: str
    ready: int
    oldest_ms: int
    busy: int
    places: int | None
    most: int | None


class SourceSeen(Shape):
    name: str
    subject: str
    url: str
    state: str
    items_published: int
    next_poll_ms: int | None
    last_error: str | None


class NodeSeen(Shape):
    name: str
    state: str
    labels: str
    reason: str | None
    actors: list[str]


class System(Shape):
    """What `maestro status` tells, as far as the store knows it; `supervisors` and `lateness_ms` want Ray."""

    now_ms: int
    frozen: bool
    """The brake is on: nobody begins a tick."""
    counts: Counts
    depths: dict[str, int]
    totals: dict[str, int]
    mesh: dict[str, int]
    artifacts: dict[str, int]
    """`bytes` of `artifacts` that are kept of what tools returned."""
    pools: list[PoolSeen]
    nodes: list[NodeSeen]
    sources: list[SourceSeen]
    supervisors: JsonValue = None
    lateness_ms: int | None = None
    presence: list[str]
    """Names of those who hold a control channel open now, through this API."""


class Digest(Shape):
    """Since you were away."""

    since_ms: int
    until_ms: int
    cursor: str
    """Give it to `POST /v1/digest/seen` once it was read."""
    whole: bool
    """False when the feed has dropped facts of that time: then some are missing here."""
    findings: list[FindingSeen]
    decided_alone: list[dict[str, JsonValue]]
    """{id, at_ms, decision, reason}: decided in place of a person, because nobody did in time."""
    failures: list[dict[str, JsonValue]]
    """{id, at_ms, status, reason}"""
    waits: list[WaitItem]
    """Open now."""
    born: int
    ended: int
    ticks: int
    spent_usd_micros: int


class Seen(Shape):
    cursor: Annotated[str, StringConstraints(max_length=2_000)]


class SessionRow(Shape):
    """A root continuation, as something that one talks with."""

    id: str
    name: str | None
    goal: str
    group: Group
    updated_at_ms: int
    presence: list[str]


class Sessions(Shape):
    items: list[SessionRow]
    next_cursor: str | None


class MessageSeen(Shape):
    """Something said in a session, by a person or by it."""

    id: str
    rev: int
    at_ms: int
    continuation: str
    kind: Literal["question", "approval", "reply", "decision", "message", "finding", "result"]
    sender: str
    text: str
    state: Literal["open", "answered", "told"]


class Messages(Shape):
    id: str
    items: list[MessageSeen]
    next_after: str | None


class EventSeen(Shape):
    """One event of a stream, as polling gives it: see `maestro.gateway.events`."""

    id: str
    event: str
    data: dict[str, JsonValue]


class Events(Shape):
    items: list[EventSeen]
    cursor: str
    """Give it back as `after`."""


class Spoken(Shape):
    """A streamed answer, as far as it is written."""

    id: str
    text: str
    """The whole, or what was told of it here."""
    whole: bool
    items: list[dict[str, JsonValue]]
    """`piece`, `reset`, `answer`: as the stream tells them."""
    cursor: str
    """Give it back as `after`: the next begins there."""


class Gone(Shape):
    """410: the cursor is older than what is kept, or is none of ours; go on from `cursor` after reading `snapshot`."""

    code: Literal["gap"]
    message: str
    field: str | None = None
    hint: str | None = None
    request_id: str
    cursor: str
    snapshot: Counts


class Health(Shape):
    ok: bool
    detail: str = ""
