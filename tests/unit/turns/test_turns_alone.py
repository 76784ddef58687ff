"""The bounded-turn API beside its engine: what it needs, what it takes, what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

import maestro.turns
from maestro.clock import ManualClock
from maestro.continuation.lifecycle import Status
from maestro.errors import ContinuationInvalidInputError
from maestro.turns import (
    ContinuationConfig,
    ContinuationCreateInput,
    ContinuationRecord,
    ContinuationResumedTurnInput,
    HarnessResult,
    InMemoryContinuationStore,
    TurnOutcome,
    create_continuation_runtime,
)
from maestro.turns.records import given

FIXED = (
    "ContinuationClock",
    "ContinuationConfig",
    "ContinuationCreateResult",
    "ContinuationDefaults",
    "ContinuationDeliveryAdapter",
    "ContinuationDeliveryInput",
    "ContinuationDeliveryResult",
    "ContinuationHarnessAdapter",
    "ContinuationRecord",
    "ContinuationResumeTrigger",
    "ContinuationResumedTurnInput",
    "ContinuationRuntime",
    "ContinuationSchedulerAdapter",
    "ContinuationStore",
    "ContinuationTraceSink",
    "HarnessResult",
    "InMemoryContinuationStore",
    "create_continuation_runtime",
)

WITHOUT_REDIS = """
import sys
sys.modules["redis"] = None
import {modules}
"""


class Echo:
    async def run_resumed_turn(self, input: ContinuationResumedTurnInput) -> HarnessResult:
        return HarnessResult(outcome=TurnOutcome.COMPLETED, content=str(input.continuation_state["n"]))


def test_the_names_that_the_spec_fixes_are_there() -> None:
    assert [name for name in FIXED if name not in maestro.turns.__all__] == []
    assert all(hasattr(maestro.turns, name) for name in maestro.turns.__all__)


def test_all_but_the_redis_store_imports_where_no_redis_client_is() -> None:
    files = Path(maestro.turns.__file__).parent.glob("*.py")
    modules = ", ".join(
        sorted(f"maestro.turns.{file.stem}" for file in files if file.stem not in ("__init__", "redis"))
    )
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_REDIS.format(modules=modules)], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()


@pytest.mark.spec("01.15")
async def test_a_store_in_memory_and_a_harness_are_all_that_is_needed() -> None:
    store = InMemoryContinuationStore(ManualClock())
    runtime = create_continuation_runtime(ContinuationConfig(store=store, harness=Echo()))
    asked = ContinuationCreateInput(
        assistant_id="agent",
        session_id="session",
        origin_turn_id="turn",
        harness_result=HarnessResult(
            outcome=TurnOutcome.DEFERRED, operation_id="O1", continuation_state={"n": 3}, metadata={"by": "us"}
        ),
    )
    created = (await runtime.create(asked)).continuation
    assert (created.state, created.metadata, created.program) == ({"n": 3}, {"by": "us"}, "turn")
    trigger = {"type": "external_result", "operationId": "O1", "payload": 1}
    resumed = await runtime.resume({"continuationId": created.id, "trigger": trigger})
    assert (resumed.continuation.status, resumed.harness_result and resumed.harness_result.content) == (
        Status.COMPLETED,
        "3",
    )
    await store.close()


async def test_a_record_goes_through_json_in_camel_case_and_back() -> None:
    store = InMemoryContinuationStore(ManualClock())
    runtime = create_continuation_runtime(ContinuationConfig(store=store, harness=Echo()))
    turn = {"assistantId": "a", "sessionId": "s", "originTurnId": "t"}
    created = (await runtime.create({**turn, "harnessResult": {"outcome": "needs_clarification"}})).continuation
    written = created.model_dump_json(by_alias=True)
    assert '"originTurnId":"t"' in written
    assert '"expiresAt":"2024-07-15T01:00:00Z"' in written
    assert ContinuationRecord.model_validate_json(written) == created


def test_an_input_names_the_first_field_that_is_wrong_and_what_it_got() -> None:
    with pytest.raises(ContinuationInvalidInputError) as refusal:
        given(ContinuationCreateInput, {"assistantId": 3, "sessionId": "s", "originTurnId": "t", "harnessResult": {}})
    assert refusal.value.field == "assistant_id"
    assert (refusal.value.facts["expected"], refusal.value.facts["got"]) == ("ContinuationCreateInput", "3")
