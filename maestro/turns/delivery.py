"""Bringing the end of a continuation to its user, at most once per idempotency key.

    commit of the last turn   pending_delivery
    attempt                   the adapter is called with the continuation's one key
    postscript                delivered, or delivery_failed with why

Invariants: what is to be delivered is durable before the attempt; a crash in between leaves pending_delivery, which
`redeliver` settles under the same key; an adapter that raises has failed, and takes nobody with it.

Source: spec/01 section 10.
"""

from dataclasses import dataclass

import structlog

from maestro.continuation.checkpoint import Checkpoint
from maestro.errors import ContinuationNotFoundError, ContinuationStateError
from maestro.tick.postscript import noted
from maestro.tick.records import Glance
from maestro.turns.ports import ContinuationDeliveryAdapter, ContinuationDeliveryInput, ContinuationDeliveryResult
from maestro.turns.records import ContinuationRecord, Delivery, DeliveryState, HarnessResult, moment
from maestro.turns.state import TurnState, delivery_key, turn_state
from maestro.turns.stores import ContinuationStore
from maestro.turns.views import delivery_of, record_of

log = structlog.get_logger()

OPEN = frozenset({DeliveryState.PENDING_DELIVERY, DeliveryState.DELIVERY_FAILED})
"""States that another attempt may follow."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Delivers the ends of one store's records."""

    store: ContinuationStore
    adapter: ContinuationDeliveryAdapter

    async def deliver(self, continuation_id: str) -> Delivery:
        """The end was attempted to be delivered; returns how far it is.

        Raises:
            ContinuationNotFoundError: nobody has that id.
            ContinuationStateError: there is nothing to deliver, or nothing any more.
        """
        found = await self._open(continuation_id)
        if found[2].delivery.state is DeliveryState.DELIVERY_FAILED:
            await self._note(continuation_id, Delivery(state=DeliveryState.PENDING_DELIVERY))
            found = await self._open(continuation_id)
        glance, checkpoint, _, result = found
        told = await self._attempt(record_of(glance, checkpoint), result, delivery_key(checkpoint))
        state = DeliveryState.DELIVERED if told.ok else DeliveryState.DELIVERY_FAILED
        at = moment(await self.store.at.backend.clock.now_ms())
        done = Delivery(state=state, error=told.error, attempted_at=at, delivery_id=told.delivery_id)
        return await self._note(continuation_id, done)

    async def _attempt(self, record: ContinuationRecord, result: HarnessResult, key: str) -> ContinuationDeliveryResult:
        asked = ContinuationDeliveryInput(continuation=record, harness_result=result, idempotency_key=key)
        try:
            return await self.adapter.deliver(asked)
        except Exception as error:  # noqa: BLE001 - an adapter may raise anything
            log.warning("delivery_failed", continuation=record.id, error=str(error))
            return ContinuationDeliveryResult(ok=False, error=f"{type(error).__name__}: {error}")

    async def _note(self, continuation_id: str, delivery: Delivery) -> Delivery:
        """The postscript is written, or another attempt has settled it meanwhile; returns what holds."""
        at = self.store.at
        while True:
            glance, checkpoint, turn = await self._look(continuation_id)
            if turn.delivery.state not in OPEN:
                return turn.delivery
            now_ms = await at.backend.clock.now_ms()
            state = turn.model_copy(update={"delivery": delivery}).model_dump(mode="json")
            word = f"{checkpoint.status}: {delivery.state}" + (f", {delivery.error}" if delivery.error else "")
            if await at.backend.store.postscript(noted(glance, state, word, now_ms, at.seal, at.tenant)):
                return delivery

    async def _open(self, continuation_id: str) -> tuple[Glance, Checkpoint, TurnState, HarnessResult]:
        glance, checkpoint, turn = await self._look(continuation_id)
        state = delivery_of(turn, checkpoint.status).state
        if not checkpoint.terminal or state not in OPEN or turn.last is None:
            raise ContinuationStateError(
                f"{continuation_id} has nothing to deliver: it is {checkpoint.status}, {state}",
                field="continuation_id",
                hint="only pending_delivery and delivery_failed are delivered again",
                id=continuation_id,
                status=checkpoint.status.value,
                expected=" or ".join(sorted(OPEN)),
                got=state.value,
            )
        return glance, checkpoint, turn, turn.last

    async def _look(self, continuation_id: str) -> tuple[Glance, Checkpoint, TurnState]:
        found = await self.store.look(continuation_id)
        turn = None if found is None else turn_state(found[1])
        if found is None or turn is None:
            raise ContinuationNotFoundError(
                f"no turn {continuation_id!r}", field="continuation_id", id=continuation_id, expected="a turn", got=None
            )
        return *found, turn
