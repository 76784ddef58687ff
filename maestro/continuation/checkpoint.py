"""The checkpoint: everything durable about one continuation, one value; and the log record that led to it.

Invariants:
- the log alone rebuilds the checkpoint: record n holds the patch from checkpoint n-1 to n, record 0 the whole birth;
- a record names the hash of the one before it, so that a missing or changed record shows;
- hashes are over bytes as they were written, never over what today's code would write: a field that is added with a
  default, or a default that is left out, changes no old hash (see `canonical`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation import patch
from maestro.continuation.bounds import UNBOUNDED, Bounds
from maestro.continuation.canonical import canonical
from maestro.continuation.directive import Interest, OnParentEnd, Recurring, Spawn
from maestro.continuation.edits import Edit
from maestro.continuation.expiry import expires_at
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import TERMINAL, Hold, Status
from maestro.continuation.merging import Disagreement
from maestro.continuation.remembered import NOTHING_REMEMBERED, ToolMemory
from maestro.continuation.supervision import Restart, Supervision
from maestro.continuation.wait import WaitFor
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId, EntryId, Epoch, Rev, TenantId, TimeMs

GENESIS = "0" * 64
"""The previous hash of a first record."""
Durability = Literal["always", "everysec", "replicated"]
"""What an acknowledged write survives, see docs/how-to/spread-the-store.md."""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Child(_Shape):
    """What a parent knows of a child."""

    behaviour: str
    status: Status = Status.PENDING
    on_parent_end: OnParentEnd = "linked"
    spawn: Spawn | None = None
    """What it was spawned with, where another may have to take its place."""
    place: int = 0
    """Of such children the one with the lower number was spawned earlier."""
    first: ContinuationId | None = None
    """The first of those whose place it has."""
    burned: BudgetVector = BudgetVector({})
    """What they had used."""
    replaced: bool = False
    """It was told to end, and another will take its place."""


class Tie(_Shape):
    """A monitor of it: whose end it will be told of."""

    target: ContinuationId


class ForkedFrom(_Shape):
    id: ContinuationId
    rev: Rev


class Checkpoint(_Shape):
    schema_version: Literal[1] = 1
    id: ContinuationId
    tenant: TenantId
    name: str | None = None
    behaviour: str
    behaviour_version: int
    pool: str = "default"
    status: Status = Status.PENDING
    stop_reason: str | None = None
    stop_detail: str | None = None
    hold: Hold | None = None
    hold_detail: str | None = None
    goal: GoalFrame
    parent: ContinuationId | None = None
    root: ContinuationId
    depth: Annotated[int, Field(ge=0)] = 0
    forked_from: ForkedFrom | None = None
    disagreements: tuple[Disagreement, ...] = ()
    """What merged ones left otherwise than it is here, until somebody has decided."""
    children: dict[ContinuationId, Child] = {}
    supervision: Supervision = Supervision()
    """Of those children that are restarted."""
    restart: Restart = "temporary"
    """Whether another takes its place when it ends."""
    ties: dict[str, Tie] = {}
    """Monitors by their names. Links are the store's: either side may make and undo one."""
    trap_exit: bool = False
    bounds: Bounds = UNBOUNDED
    resume_attempts: int = 0
    """Attempts of this turn lineage that are committed; the tries of the open tick are the store's."""
    turns: int = 0
    """How many ticks of the behaviour are committed."""
    asked_on_day: int = 0
    """The day on which it last put a question to people, counted from 1970; kept where a bound counts them."""
    asks_that_day: int = 0
    wait: WaitFor | None = None
    interests: tuple[Interest, ...] = ()
    timers: dict[str, TimeMs] = {}
    recurring: dict[str, Recurring] = {}
    """Those of its timers that are set again whenever they were read."""
    input: JsonValue = None
    state: JsonValue = None
    """None until the behaviour's first tick."""
    scopes: tuple[str, ...] = ()
    """What it may use tools for; a child has at most those of its parent."""
    tainted: bool = False
    """True when what it last did came of untrusted input: its own timers and children bring no trust."""
    edits: dict[EntryId, Edit] = {}
    """What was decided about how entries of its field are shown."""
    tools: ToolMemory = NOTHING_REMEMBERED
    result: JsonValue = None
    created_at_ms: TimeMs
    updated_at_ms: TimeMs

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def expires_at_ms(self) -> TimeMs | None:
        """When the open wait expires; None when it does not."""
        return expires_at(self.wait)

    def body(self) -> bytes:
        """The canonical bytes: the same checkpoint gives the same bytes, and so the same state hash."""
        return canonical(self)


class EffectNote(_Shape):
    """What the log keeps of one effect."""

    ordinal: int
    kind: str
    key: str
    outcome: str
    charge: dict[str, int] = {}
    decision: str | None = None
    detail: JsonValue = None
    asked: JsonValue = None
    """What was asked, as refs to blocks (maestro.tick.asking)."""
    answer: JsonValue = None
    """The answer, as a ref (maestro.continuation.blocks)."""
    question: JsonValue = None
    """What its decision was made on: {question, terms}, the terms as a ref (maestro.policy.recorded)."""


class TriggerNote(_Shape):
    """What the log keeps of one mail that a tick consumed."""

    id: str
    kind: str
    sender: str
    subject: str = ""


class LogRecord(_Shape):
    """One committed tick."""

    cid: ContinuationId
    tenant: TenantId
    rev: Rev
    epoch: Epoch
    behaviour: str
    behaviour_version: int
    trigger: TriggerNote | None = None
    """What woke it, where that is not the first of `consumed`: see `woken_by`."""
    consumed: tuple[TriggerNote, ...] = ()
    wait: JsonValue = None
    directives: tuple[JsonValue, ...] = ()
    effects: tuple[EffectNote, ...] = ()
    charges: dict[str, int] = {}
    started_at_ms: TimeMs
    reason: str
    """Why the tick ended as it did, in words for a person."""
    state_hash: str
    previous_hash: str
    patch: list[JsonValue]
    autonomous_decision: str | None = None
    """What was decided in place of a person, because nobody did in time."""
    durability: Durability = "always"
    """What its commit survives: a power cut, all but the last second of one, or the loss of the primary."""

    @property
    def woken_by(self) -> TriggerNote | None:
        """What woke this tick."""
        return self.trigger or next(iter(self.consumed), None)

    def body(self) -> bytes:
        return canonical(self)


def digest(body: bytes) -> str:
    """The name of some bytes: SHA-256, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def replay(bodies: Iterable[bytes]) -> Checkpoint:
    """The checkpoint that the records with these bodies, from the first on, lead to.

    Raises:
        IntegrityError: a record is missing or out of order, names another predecessor, or gives another state hash.
    """
    body: Mapping[str, JsonValue] = {}
    written = b""
    expected_rev, previous = 0, GENESIS
    for record_body in bodies:
        record = LogRecord.model_validate_json(record_body)
        if record.rev != expected_rev or record.previous_hash != previous:
            raise IntegrityError(f"{record.cid}: the log breaks at record {expected_rev}", hint="run `maestro verify`")
        body = patch.apply(body, record.patch)
        written = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        if digest(written) != record.state_hash:
            raise IntegrityError(f"{record.cid}: record {record.rev} does not lead to its state hash")
        expected_rev, previous = expected_rev + 1, digest(record_body)
    if not written:
        raise IntegrityError("an empty log leads to no checkpoint")
    return Checkpoint.model_validate_json(written)
