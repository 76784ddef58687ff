"""What the contract of the bounded-turn API is told with: a scripted harness, and adapters that remember.

Nothing here waits for real time but where a test says so; time is the store's virtual clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Installation
from maestro.turns import (
    ContinuationConfig,
    ContinuationDeliveryInput,
    ContinuationDeliveryResult,
    ContinuationRecord,
    ContinuationResumedTurnInput,
    ContinuationResumeResult,
    ContinuationRuntime,
    ContinuationStore,
    ContinuationTraceEntry,
    ContinuationWakeUp,
    HarnessResult,
    create_continuation_runtime,
)
from tests.contract.support import SEAL

HOUR_MS = 3_600_000
DONE = HarnessResult.model_validate({"outcome": "completed", "content": "done"})
QUESTION = {"outcome": "needs_clarification", "content": "which one?"}
APPROVAL = {"outcome": "awaiting_approval", "content": "send it?", "approval_id": "A1"}
OPERATION = {"outcome": "deferred", "operation_id": "O1"}
Step = (
    HarnessResult | dict[str, Any] | BaseException | Callable[[ContinuationResumedTurnInput], Awaitable[HarnessResult]]
)


def store_on(backend: Backend) -> ContinuationStore:
    return ContinuationStore(Installation(backend, SEAL, BudgetVector({})))


def wake_at(at_ms: int) -> dict[str, Any]:
    return {"outcome": "deferred", "metadata": {"scheduled_wake": True, "wake_at_ms": at_ms}}


def reply(text: str = "the blue one", id_: str | None = None) -> dict[str, Any]:
    trigger: dict[str, Any] = {"type": "user_reply", "message": {"id": f"message {text}", "text": text}}
    return trigger | ({"id": id_} if id_ else {})


def word(decision: str = "approved", approval_id: str = "A1", **more: JsonValue) -> dict[str, Any]:
    return {"type": "approval_resolution", "approval_id": approval_id, "decision": decision, **more}


def outcome_of(operation_id: str = "O1", **more: JsonValue) -> dict[str, Any]:
    return {"type": "external_result", "operation_id": operation_id, **more}


WAKE: dict[str, Any] = {"type": "scheduled_wake"}


@dataclass
class Harness:
    """Answers by its script, then `done` for ever; it counts what it was asked."""

    script: list[Step] = field(default_factory=list)
    asked: list[ContinuationResumedTurnInput] = field(default_factory=list)

    async def run_resumed_turn(self, input: ContinuationResumedTurnInput) -> HarnessResult:
        self.asked.append(input)
        step = self.script.pop(0) if self.script else DONE
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, HarnessResult):
            return step
        if isinstance(step, dict):
            return HarnessResult.model_validate(step)
        return await step(input)


@dataclass
class Post:
    """Delivers once per idempotency key, as its contract asks; `script` says what goes wrong."""

    script: list[Exception | BaseException | str] = field(default_factory=list)
    calls: int = 0
    arrived: dict[str, HarnessResult] = field(default_factory=dict)

    async def deliver(self, input: ContinuationDeliveryInput) -> ContinuationDeliveryResult:
        self.calls += 1
        step = self.script.pop(0) if self.script else None
        if isinstance(step, str):
            return ContinuationDeliveryResult(ok=False, error=step)
        if isinstance(step, Exception):
            raise step
        self.arrived.setdefault(input.idempotency_key, input.harness_result)
        if step is not None:
            raise step
        return ContinuationDeliveryResult(ok=True, delivery_id="D1")


@dataclass
class PostThatKnows(Post):
    """As well: users who came back."""

    came_back: bool = False
    asked_about: list[tuple[str, datetime]] = field(default_factory=list)

    async def session_reengaged(self, session_id: str, since: datetime) -> bool:
        self.asked_about.append((session_id, since))
        return self.came_back


@dataclass
class Scheduler:
    scheduled: list[tuple[str, int]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def schedule_wake(self, continuation_id: str, wake_at_ms: int) -> ContinuationWakeUp:
        self.scheduled.append((continuation_id, wake_at_ms))
        return ContinuationWakeUp(wake_up_id=f"W{len(self.scheduled)}")

    async def cancel_wake(self, wake_up_id: str) -> None:
        self.cancelled.append(wake_up_id)


@dataclass
class Trace:
    entries: list[ContinuationTraceEntry] = field(default_factory=list)

    async def record(self, entry: ContinuationTraceEntry) -> None:
        self.entries.append(entry)

    @property
    def told(self) -> list[str]:
        return [f"{entry.what} {entry.detail}".strip() for entry in self.entries]


class Turns:
    """A runtime with a test's words for it."""

    def __init__(self, backend: Backend, **config: Any) -> None:
        self.backend = backend
        self.harness = Harness()
        self.store = store_on(backend)
        self.runtime = self.with_(**config)

    def with_(self, **config: Any) -> ContinuationRuntime:
        """Another process' runtime over the same store."""
        return create_continuation_runtime(
            ContinuationConfig(**{"store": self.store, "harness": self.harness, **config})
        )

    async def create(
        self, result: dict[str, Any] | HarnessResult = QUESTION, origin: str = "turn-1", **more: Any
    ) -> ContinuationRecord:
        asked = {"assistant_id": "agent", "session_id": "session", "origin_turn_id": origin, "harness_result": result}
        return (await self.runtime.create({**asked, **more})).continuation

    async def resume(self, record: ContinuationRecord | str, trigger: dict[str, Any]) -> ContinuationResumeResult:
        cid = record if isinstance(record, str) else record.id
        return await self.runtime.resume({"continuation_id": cid, "trigger": trigger})

    async def stop(self, record: ContinuationRecord, reason: str = "cancelled_by_user") -> ContinuationRecord:
        return await self.runtime.stop({"continuation_id": record.id, "reason": reason})

    async def get(self, record: ContinuationRecord) -> ContinuationRecord:
        return await self.runtime.get({"continuation_id": record.id})

    async def advance(self, by_ms: int) -> None:
        await self.backend.steering.advance(by_ms)

    async def now_ms(self) -> int:
        return await self.backend.clock.now_ms()

    async def verify(self, record: ContinuationRecord) -> int:
        """The log leads to the record; returns its length."""
        return await verbs.verify(self.store.at, ContinuationId(record.id))


@dataclass
class Gate:
    """A harness that tells when it has begun, and ends when it is let."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    result: HarnessResult = DONE

    async def __call__(self, input: ContinuationResumedTurnInput) -> HarnessResult:
        self.begun.set()
        await self.opened.wait()
        return self.result
