"""The bounded-turn API: create, resume, stop, get. A thin face over the engine: every call ends in its own commits.

    create   a birth, and the first tick, which opens the wait
    resume   six checks -> the trigger as mail -> adoption, which one of several wins -> the harness -> commit
    stop     the order to end, as everybody else gives it
    get      one look

Invariants: a failed check runs no harness and leaves nothing but an expiry; the same trigger twice has one effect; what
is told to a trace is durable before.

Source: spec/01 sections 5, 8, 10, 11.
"""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

import structlog

from maestro.continuation import resume as resuming
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Control, Kind, Mail
from maestro.errors import (
    Conflict,
    ContinuationExpiredError,
    ContinuationStateError,
    ResumeAttemptsExhausted,
    TimedOut,
)
from maestro.ids import ContinuationId, MailId, derived_token, home_partition, new_continuation_id, partition_of
from maestro.runtime import steer
from maestro.runtime.verbs import partitions
from maestro.tick.birth import root_of
from maestro.tick.records import Glance
from maestro.turns.conduct import opened_wait
from maestro.turns.delivery import OPEN, Courier
from maestro.turns.hands import Hands
from maestro.turns.ports import CancelsWakes, ContinuationConfig, ContinuationTraceEntry
from maestro.turns.records import (
    ContinuationCreateInput,
    ContinuationCreateResult,
    ContinuationGetInput,
    ContinuationRecord,
    ContinuationResumeInput,
    ContinuationResumeResult,
    ContinuationStopInput,
    Delivery,
    given,
)
from maestro.turns.resumption import Resumption, not_found
from maestro.turns.state import POOL, Turn, TurnBirth, TurnState, turn_state
from maestro.turns.triggers import SENDER
from maestro.turns.views import record_of

log = structlog.get_logger()

LOOK_S = 0.02  # between two looks at somebody else's continuation that is to end
EXPIRED, ATTEMPTS, SUPERSEDED = "expired_ttl", resuming.MAX_ATTEMPTS_EXCEEDED, "superseded_by_newer_turn"


def create_continuation_runtime(config: ContinuationConfig) -> "ContinuationRuntime":
    """The runtime that `config` describes; store and harness are enough."""
    return ContinuationRuntime(config)


class ContinuationRuntime:
    """Bounded turns over one store; any number of them may share it, in any number of processes."""

    def __init__(self, config: ContinuationConfig) -> None:
        self._config = config
        self._store = config.store
        self._hands = Hands(config.store.at, config.lease_ms, config.turn_timeout_ms)

    async def create(self, input: ContinuationCreateInput | Mapping[str, Any]) -> ContinuationCreateResult:
        """The record exists, pending, with its wait.

        Raises:
            ContinuationInvalidInputError: the turn left nothing to resume, or a required id is missing.
            Conflict: this turn has a living record, and `supersede` does not say that it is to end.
        """
        asked = given(ContinuationCreateInput, input)
        first = await self._first(asked)
        former = await self._store.list_by_session(asked.session_id) if asked.supersede else []
        try:
            await self._store.put(first, _superseded_by(first) if asked.supersede else None)
        except Conflict as error:
            raise Conflict(
                f"turn {asked.origin_turn_id} of session {asked.session_id} has a living record already",
                field="origin_turn_id",
                hint="resume or stop that one, or create with supersede=True",
                expected="no living record",
                got=error.message,
            ) from None
        for record in former:
            if record.assistant_id == asked.assistant_id:
                await self._end(ContinuationId(record.id), SUPERSEDED)
        created = await self._shown(first.id)
        await self._trace("created", created)
        return ContinuationCreateResult(continuation=created)

    async def resume(self, input: ContinuationResumeInput | Mapping[str, Any]) -> ContinuationResumeResult:
        """The harness has run for this trigger, once, and its outcome is committed.

        Raises:
            ContinuationNotFoundError, ContinuationAlreadyTerminalError, ContinuationBusyError,
            ContinuationExpiredError, ContinuationTriggerMismatchError, ResumeAttemptsExhausted: a check failed, in this
                order; the harness was not run.
            ContinuationStateError: it is held or frozen.
        """
        asked = given(ContinuationResumeInput, input)
        resumption = Resumption(self._config, self._hands, asked.trigger)
        try:
            result = await resumption.of(asked.continuation_id, self._resuming)
        except ContinuationExpiredError:
            await self._end(ContinuationId(asked.continuation_id), EXPIRED)
            raise
        except ResumeAttemptsExhausted:
            await self._end(ContinuationId(asked.continuation_id), ATTEMPTS)
            raise
        if resumption.ran:
            record = await self._settled(ContinuationId(asked.continuation_id))
            return result.model_copy(update={"continuation": record})
        return result

    async def stop(self, input: ContinuationStopInput | Mapping[str, Any]) -> ContinuationRecord:
        """It has ended for `reason`; one that had ended is returned unchanged. Any continuation can be stopped.

        Raises:
            ContinuationNotFoundError: nobody has that id.
            TimedOut: whoever holds it has not let go yet; the order stands.
        """
        asked = given(ContinuationStopInput, input)
        record = await self.get({"continuation_id": asked.continuation_id})
        if record.stop_reason is not None:
            return record
        return await self._end(ContinuationId(asked.continuation_id), asked.reason, asked.children)

    async def get(self, input: ContinuationGetInput | Mapping[str, Any]) -> ContinuationRecord:
        """The record as it is now, of any continuation.

        Raises:
            ContinuationNotFoundError: nobody has that id.
        """
        return await self._shown(given(ContinuationGetInput, input).continuation_id)

    async def redeliver(self, input: ContinuationGetInput | Mapping[str, Any]) -> Delivery:
        """The end was attempted to be delivered again, under the idempotency key of before.

        Raises:
            ContinuationStateError: it is neither pending_delivery nor delivery_failed, or there is no adapter.
        """
        asked = given(ContinuationGetInput, input)
        if self._config.delivery is None:
            raise ContinuationStateError(
                "this runtime has no delivery adapter", field="delivery", hint="configure one", id=asked.continuation_id
            )
        delivery = await Courier(self._store, self._config.delivery).deliver(asked.continuation_id)
        await self._trace("delivery", await self._shown(asked.continuation_id))
        return delivery

    async def run_due(self) -> int:
        """What became due was carried out: timers, waits that timed out, triggers whose resumer died; returns how much.

        Any number of processes may call this; each due turn is one process' only.
        """
        backend, done = self._store.at.backend, 0
        for partition in partitions(self._store.at):
            await self._hands.reclaim(partition)
            await backend.timers.fire(partition)
        while (claim := await self._hands.claim_any()) is not None:
            await Resumption.carry_on(self._config, self._hands, claim, self._resuming)
            await self._settled(claim.adopted.cid)
            done += 1
        return done

    async def _first(self, asked: ContinuationCreateInput) -> Checkpoint:
        """The checkpoint that a record is born with: all of it is known before anything is written."""
        at, now_ms = self._store.at, await self._store.at.backend.clock.now_ms()
        name = derived_token("turn", asked.assistant_id, asked.session_id, asked.origin_turn_id)
        cid = new_continuation_id(now_ms, home_partition(name, at.backend.partitions))
        bounds = asked.bounds.over(self._config.defaults)
        wait, wake_up_id = await opened_wait(self._config, cid, asked.harness_result, f"{cid}:0", bounds)
        state = TurnState(
            assistant_id=asked.assistant_id,
            session_id=asked.session_id,
            origin_turn_id=asked.origin_turn_id,
            last=asked.harness_result,
            wake_up_id=wake_up_id,
            deliverable=self._config.delivery is not None,
        )
        goal = GoalFrame(goal=f"finish turn {asked.origin_turn_id} of session {asked.session_id}")
        birth = TurnBirth(state=state, wait=wait).model_dump(mode="json")
        first = root_of(cid, at.tenant, Turn.name, goal, now_ms, pool=POOL, name=name, input=birth)
        return first.model_copy(update={"bounds": bounds})

    async def _end(self, cid: ContinuationId, reason: str, children: str = "stop") -> ContinuationRecord:
        """It has ended, whoever had it in hand."""
        found = await self._store.look(cid)
        if found is not None and not found[1].terminal:
            await steer.stop(self._store.at, cid, reason, children=children, by=SENDER)
            deadline = monotonic() + 2 * self._config.lease_ms / 1000
            while not await self._carried_out(cid):
                if monotonic() > deadline:
                    raise TimedOut(f"{cid} has not ended yet", hint="the order stands; look again with get", id=cid)
                await asyncio.sleep(LOOK_S)
        return await self._settled(cid)

    async def _carried_out(self, cid: ContinuationId) -> bool:
        """True when it has ended: by us, if nobody has it in hand."""
        glance, checkpoint = await self._look(cid)
        if checkpoint.terminal:
            return True
        await self._hands.reclaim(partition_of(cid))
        claim = None if glance.holder else await self._hands.claim(cid, checkpoint.pool)
        if claim is not None:
            await self._hands.carry(claim)
        return False

    async def _settled(self, cid: ContinuationId) -> ContinuationRecord:
        """After a commit: the trace knows, an end is delivered, a wake-up that nobody waits for is cancelled."""
        _, checkpoint = await self._look(cid)
        turn = turn_state(checkpoint)
        await self._trace(checkpoint.status.value, await self._shown(cid))
        if turn is not None and checkpoint.terminal:
            await self._cancel_wake(turn)
            if turn.delivery.state in OPEN and turn.delivery.attempted_at is None and self._config.delivery is not None:
                await self.redeliver({"continuation_id": cid})
        return await self._shown(cid)

    async def _cancel_wake(self, turn: TurnState) -> None:
        scheduler = self._config.scheduler
        if turn.wake_up_id is None or not isinstance(scheduler, CancelsWakes):
            return
        try:
            await scheduler.cancel_wake(turn.wake_up_id)
        except Exception as error:  # noqa: BLE001 - a wake-up of one that has ended is refused anyway
            log.warning("wake_not_cancelled", wake_up_id=turn.wake_up_id, error=str(error))

    async def _resuming(self, record: ContinuationRecord) -> None:
        await self._trace("resuming", record)

    async def _trace(self, what: str, record: ContinuationRecord) -> None:
        if self._config.trace is None:
            return
        detail = record.delivery.state.value if what == "delivery" else record.stop_reason or ""
        now_ms = await (self._config.clock or self._store.at.backend.clock).now_ms()
        entry = ContinuationTraceEntry(
            continuation_id=record.id, what=what, detail=detail, rev=record.rev, at_ms=now_ms
        )
        try:
            await self._config.trace.record(entry)
        except Exception as error:  # noqa: BLE001 - a sink may raise anything
            log.warning("not_traced", continuation=record.id, what=what, error=str(error))

    async def _shown(self, continuation_id: str) -> ContinuationRecord:
        return record_of(*await self._look(continuation_id))

    async def _look(self, continuation_id: str) -> tuple[Glance, Checkpoint]:
        found = await self._store.look(continuation_id)
        if found is None:
            raise not_found(continuation_id)
        return found


def _superseded_by(newer: Checkpoint) -> Mail:
    """The order to end for the record that had the place of `newer`."""
    return Mail(
        id=MailId(f"superseded:{newer.id}"),
        kind=Kind.CONTROL,
        sender=SENDER,
        subject=Control.KILL,
        body={"stop_reason": SUPERSEDED, "reason": f"{newer.id} took its place"},
        sent_ms=newer.created_at_ms,
    )
