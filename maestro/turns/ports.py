"""What a runtime of bounded turns is made of: its harness, and what it may have beside it.

Only store and harness are needed; everything else is optional, and what is absent is never called.

Source: spec/01 sections 10, 11, 11.1.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from pydantic import ConfigDict, JsonValue
from pydantic.alias_generators import to_camel

from maestro.clock import Clock
from maestro.continuation.bounds import TtlDefaults
from maestro.turns.records import ContinuationRecord, HarnessResult, Shape
from maestro.turns.stores import ContinuationStore
from maestro.turns.triggers import ContinuationResumeTrigger

ContinuationClock = Clock
"""Stamps what the trace is told; durable times are the store's own, read inside the step that writes them."""


class ContinuationDefaults(TtlDefaults):
    """The four times to live and the attempts, where a record's `bounds` say nothing."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ContinuationResumedTurnInput(Shape):
    """One bounded turn: what is resumed, and by what."""

    continuation: ContinuationRecord
    trigger: ContinuationResumeTrigger
    continuation_state: dict[str, JsonValue]
    """What the last turn left."""


class ContinuationHarnessAdapter(Protocol):
    """Runs turns."""

    async def run_resumed_turn(self, input: ContinuationResumedTurnInput) -> HarnessResult:
        """One bounded turn is over. Whatever it raises ends the continuation as failed, `harness_error`."""
        ...


class ContinuationDeliveryInput(Shape):
    continuation: ContinuationRecord
    harness_result: HarnessResult
    idempotency_key: str
    """The same for every attempt to deliver this result: who has seen it before delivers nothing."""


class ContinuationDeliveryResult(Shape):
    ok: bool
    error: str | None = None
    delivery_id: str | None = None


class ContinuationDeliveryAdapter(Protocol):
    """Brings a result to a user who is not looking."""

    async def deliver(self, input: ContinuationDeliveryInput) -> ContinuationDeliveryResult:
        """The result is where the user finds it, or `ok` is false. To raise is to fail."""
        ...


@runtime_checkable
class KnowsSessions(Protocol):
    """A delivery adapter that can tell whether the user came back by himself."""

    async def session_reengaged(self, session_id: str, since: datetime) -> bool:
        """True when the user has written in that session after `since`."""
        ...


class ContinuationWakeUp(Shape):
    wake_up_id: str


class ContinuationSchedulerAdapter(Protocol):
    """Sees to it that somebody resumes a record when its time has come."""

    async def schedule_wake(self, continuation_id: str, wake_at_ms: int) -> ContinuationWakeUp: ...


@runtime_checkable
class CancelsWakes(Protocol):
    """A scheduler that can be told that nobody waits any more."""

    async def cancel_wake(self, wake_up_id: str) -> None: ...


class ContinuationTraceEntry(Shape):
    """One transition, told after it is durable."""

    continuation_id: str
    what: str
    """created, resuming, pending, a terminal status, or `delivery` with its state in `detail`."""
    detail: str = ""
    rev: int = 0
    at_ms: int


class ContinuationTraceSink(Protocol):
    """Is told of every transition; what it raises is logged and goes no further."""

    async def record(self, entry: ContinuationTraceEntry) -> None: ...


DEFAULTS = ContinuationDefaults()


@dataclass(frozen=True, slots=True)
class ContinuationConfig:
    """What `create_continuation_runtime` is given."""

    store: ContinuationStore
    harness: ContinuationHarnessAdapter
    delivery: ContinuationDeliveryAdapter | None = None
    scheduler: ContinuationSchedulerAdapter | None = None
    clock: ContinuationClock | None = None
    trace: ContinuationTraceSink | None = None
    defaults: ContinuationDefaults = DEFAULTS
    turn_timeout_ms: int = 600_000
    lease_ms: int = 30_000
    """How long after the death of a process what it was resuming can be resumed again."""
