"""The pager's desk: each call id is answered once, and no answer is handed out before it is durable.

Invariants:
- two callers with the same call id, such as a continuation before and after a crash, share one provider call;
- an answer is journaled and settled first, then returned; one that could not be journaled is kept and journaled at the
  next asking, never bought again;
- a caller that goes away does not stop the call: what is being paid for is finished and journaled;
- so many calls are under way at once, the others wait in their lanes, and the wait counts against their deadline;
  calls that nobody waits for with a process have slots of their own, and take none from those that somebody waits for.

What is not here: the reservation, which the tick makes before it asks.

Source: DESIGN section 4 "Effects"; spec/05 acceptance 12.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from maestro.budget.vector import BudgetVector
from maestro.errors import MalformedAnswer, ModelError, ProvidersExhausted, StoreError
from maestro.ids import CallId, ContinuationId
from maestro.pager.dispatch import Mode, ModelCallResult
from maestro.pager.lanes import Lanes
from maestro.pager.load import Latencies, Load
from maestro.pager.prices import charge_of
from maestro.pager.request import ModelRequest

SLOTS = 64  # calls under way that a tick waits for; more would only queue at the provider
ASYNC_SLOTS = 512  # calls that nobody waits for: they may take minutes, and hold a connection and some memory each
CROWDED_MS = 1_000  # when a call may come back that waited for its whole deadline

Answering = Callable[[ModelRequest], Awaitable[ModelCallResult]]
"""Asks the providers; raises ModelError, or StoreError where the store did not let it ask."""
Outcome = ModelCallResult | ModelError


class Answers(Protocol):
    """Where answers become durable."""

    async def known(self, cid: ContinuationId, call_id: CallId) -> ModelCallResult | None:
        """The journaled answer of that call, or None while it is open.

        Raises:
            ContinuationStateError: it is not open: there is no reservation to pay it from.
        """
        ...

    async def answered(self, request: ModelRequest, result: ModelCallResult) -> None:
        """It is journaled, its reservation settled with `result.charge`, in one step; repeated, it changes nothing."""
        ...

    async def failed(self, request: ModelRequest, error: ModelError, charge: BudgetVector) -> None:
        """It is journaled, its reservation settled with `charge`, in one step; repeated, it changes nothing."""
        ...


class PagerDesk:
    """Takes requests, one provider call per call id at most."""

    def __init__(
        self, answering: Answering, answers: Answers, slots: int = SLOTS, async_slots: int = ASYNC_SLOTS
    ) -> None:
        self._answering = answering
        self._answers = answers
        self._lanes = Lanes(slots)
        self._async_lanes = Lanes(async_slots)
        self._latencies = Latencies()
        self._under_way: dict[CallId, asyncio.Task[ModelCallResult]] = {}
        self._unjournaled: dict[CallId, Outcome] = {}

    async def call(self, request: ModelRequest) -> ModelCallResult:
        """The durable answer to `request`.

        Raises:
            ModelError: the durable failure.
            StoreError: the outcome is not durable yet, or nobody was asked; ask again with the same request.
        """
        task = self._under_way.get(request.call_id)
        if task is None:
            task = asyncio.create_task(self._answer(request), name=f"call {request.call_id}")
            self._under_way[request.call_id] = task
            task.add_done_callback(lambda done: self._forget(request.call_id, done))
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """No call is under way any more; what was paid for is journaled, where the store answers."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    @property
    def load(self) -> Load:
        """Who waits for a turn here, and how long answers took of late."""
        return Load(waiting=self._lanes.waiting, latency_ms=self._latencies.told())

    def _forget(self, call_id: CallId, done: asyncio.Task[ModelCallResult]) -> None:
        """The next caller of `call_id` starts at the journal; a failure that nobody waits for is seen here."""
        self._under_way.pop(call_id, None)
        if not done.cancelled():
            done.exception()

    async def _answer(self, request: ModelRequest) -> ModelCallResult:
        outcome = self._unjournaled.pop(request.call_id, None)
        if outcome is None:
            if known := await self._answers.known(request.cid, request.call_id):
                return known
            outcome = await self._asked(request)
        try:
            await self._journal(request, outcome)
        except StoreError:
            self._unjournaled[request.call_id] = outcome
            raise
        if isinstance(outcome, ModelError):
            raise outcome
        return outcome

    async def _journal(self, request: ModelRequest, outcome: Outcome) -> None:
        if isinstance(outcome, ModelError):
            await self._answers.failed(request, outcome, charge_of(outcome))
        else:
            await self._answers.answered(request, outcome)

    async def _asked(self, request: ModelRequest) -> Outcome:
        """What the providers said, failures included; after a defect of ours the answer may have been billed."""
        began_ms = _now_ms()
        lanes = self._lanes if request.mode is Mode.SYNC else self._async_lanes
        try:
            async with lanes.slot(request.tier):
                result = await self._answering(_within(request, _now_ms() - began_ms))
            self._latencies.took(request.tier, _now_ms() - began_ms)
        except ModelError as error:
            return error
        except StoreError:
            raise
        except Exception as defect:  # noqa: BLE001 - the reservation must be settled whatever went wrong
            return ModelError(
                f"call {request.call_id} failed in the pager: {type(defect).__name__}: {defect}"[:1000],
                hint="this is a defect; report it with the pager's log",
                charge=request.price.model_dump(),
            )
        if result.call_id != request.call_id:
            return MalformedAnswer(
                f"the answer to {request.call_id} is one to {result.call_id}",
                hint="nothing of it was used; the call is charged in full",
                charge=request.price.model_dump(),
            )
        return result


def _within(request: ModelRequest, waited_ms: int) -> ModelRequest:
    """`request` with what is left of its deadline.

    Raises:
        ProvidersExhausted: nothing is left; nobody was asked.
    """
    left_ms = request.deadline_ms - waited_ms
    if left_ms <= 0:
        raise ProvidersExhausted(
            f"call {request.call_id} waited {waited_ms} ms for its turn, which was all it had",
            hint="too many calls at once: see MAESTRO_PAGER_SLOTS and MAESTRO_PAGER_ASYNC_SLOTS",
            retry_after_ms=CROWDED_MS,
        )
    return request.model_copy(update={"deadline_ms": left_ms})


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
