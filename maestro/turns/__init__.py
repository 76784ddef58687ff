"""Bounded turns: what is left of a turn that stopped honestly and not for good, and how it goes on.

    runtime = create_continuation_runtime(ContinuationConfig(store=InMemoryContinuationStore(), harness=harness))

A thin face over the engine: a record is a continuation of the behaviour `turn`, resuming it is a tick. What is not
here: running turns (the harness), transport (the delivery adapter), judging risk, memory.
`RedisContinuationStore` is in maestro.turns.redis, beside the client library that it needs.

Source: spec/01 sections 5, 11, 12.
"""

from maestro.turns.ports import (
    CancelsWakes,
    ContinuationClock,
    ContinuationConfig,
    ContinuationDefaults,
    ContinuationDeliveryAdapter,
    ContinuationDeliveryInput,
    ContinuationDeliveryResult,
    ContinuationHarnessAdapter,
    ContinuationResumedTurnInput,
    ContinuationSchedulerAdapter,
    ContinuationTraceEntry,
    ContinuationTraceSink,
    ContinuationWakeUp,
    KnowsSessions,
)
from maestro.turns.records import (
    ContinuationCreateInput,
    ContinuationCreateResult,
    ContinuationGetInput,
    ContinuationRecord,
    ContinuationResumeInput,
    ContinuationResumeResult,
    ContinuationStopInput,
    Delivery,
    DeliveryState,
    HarnessResult,
    TurnOutcome,
)
from maestro.turns.runtime import ContinuationRuntime, create_continuation_runtime
from maestro.turns.scheduling import StoreScheduler
from maestro.turns.stores import ContinuationStore, InMemoryContinuationStore
from maestro.turns.triggers import ContinuationResumeTrigger

__all__ = [
    "CancelsWakes",
    "ContinuationClock",
    "ContinuationConfig",
    "ContinuationCreateInput",
    "ContinuationCreateResult",
    "ContinuationDefaults",
    "ContinuationDeliveryAdapter",
    "ContinuationDeliveryInput",
    "ContinuationDeliveryResult",
    "ContinuationGetInput",
    "ContinuationHarnessAdapter",
    "ContinuationRecord",
    "ContinuationResumeInput",
    "ContinuationResumeResult",
    "ContinuationResumeTrigger",
    "ContinuationResumedTurnInput",
    "ContinuationRuntime",
    "ContinuationSchedulerAdapter",
    "ContinuationStopInput",
    "ContinuationStore",
    "ContinuationTraceEntry",
    "ContinuationTraceSink",
    "ContinuationWakeUp",
    "Delivery",
    "DeliveryState",
    "HarnessResult",
    "InMemoryContinuationStore",
    "KnowsSessions",
    "StoreScheduler",
    "TurnOutcome",
    "create_continuation_runtime",
]
