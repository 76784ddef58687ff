"""The checkpoint: everything durable about one continuation, one value; and the log record that led to it.

Invariants:
- the log alone rebuilds the checkpoint: record n holds the patch from checkpoint n-1 to n, record 0 the whole birth;
- a record names the hash of the one before it, so that a missing or changed record shows;
- schema versions older than today's are upgraded on read, never written.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.continuation import patch
from maestro.continuation.directive import Interest
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import TERMINAL, Hold, Status
from maestro.continuation.wait import WaitFor
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId, Epoch, Rev, TenantId, TimeMs

GENESIS = "0" * 64
"""The previous hash of a first record."""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Child(_Shape):
    """What a parent knows of a child."""

    behaviour: str
    status: Status = Status.PENDING


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
    children: dict[ContinuationId, Child] = {}
    wait: WaitFor | None = None
    interests: tuple[Interest, ...] = ()
    timers: dict[str, TimeMs] = {}
    input: JsonValue = None
    state: JsonValue = None
    """None until the behaviour's first tick."""
    result: JsonValue = None
    created_at_ms: TimeMs
    updated_at_ms: TimeMs

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    def body(self) -> bytes:
        """The canonical bytes: the same checkpoint gives the same bytes, and so the same state hash."""
        return _canonical(self)


class EffectNote(_Shape):
    """What the log keeps of one effect."""

    ordinal: int
    kind: str
    key: str
    outcome: str
    charge: dict[str, int] = {}
    decision: str | None = None
    detail: JsonValue = None


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
    trigger: TriggerNote | None
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

    def body(self) -> bytes:
        return _canonical(self)


def _canonical(shape: _Shape) -> bytes:
    """JSON with sorted keys; orjson asks for the fields of each shape inside, which costs a fifth of `model_dump`."""
    return orjson.dumps(shape, default=vars, option=orjson.OPT_SORT_KEYS)


def digest(body: bytes) -> str:
    """The name of some bytes: SHA-256, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def replay(records: Iterable[LogRecord]) -> Checkpoint:
    """The checkpoint that these records, from the first on, lead to.

    Raises:
        IntegrityError: a record is missing or out of order, names another predecessor, or gives another state hash.
    """
    body: Mapping[str, JsonValue] = {}
    expected_rev, previous = 0, GENESIS
    checkpoint: Checkpoint | None = None
    for record in records:
        if record.rev != expected_rev or record.previous_hash != previous:
            raise IntegrityError(f"{record.cid}: the log breaks at record {expected_rev}", hint="run `maestro verify`")
        body = patch.apply(body, record.patch)
        checkpoint = Checkpoint.model_validate_json(orjson.dumps(body))
        if digest(checkpoint.body()) != record.state_hash:
            raise IntegrityError(f"{record.cid}: record {record.rev} does not lead to its state hash")
        expected_rev, previous = expected_rev + 1, digest(record.body())
    if checkpoint is None:
        raise IntegrityError("an empty log leads to no checkpoint")
    return checkpoint
