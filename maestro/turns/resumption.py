"""One attempt to resume: six checks, the trigger as mail, the claim, the harness, the answer.

Invariants: nothing is written before the checks pass; the claim decides between several who passed them; a trigger that
had its effect answers with that effect, however often it comes; one that did not may come again.

Source: spec/01 section 5.2.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from maestro.continuation import resume as resuming
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import correlation_of
from maestro.errors import (
    ContinuationAlreadyTerminalError,
    ContinuationBusyError,
    ContinuationInvalidInputError,
    ContinuationNotFoundError,
    ContinuationStateError,
    Fenced,
    MaestroError,
)
from maestro.ids import TimeMs, partition_of
from maestro.runtime import verbs
from maestro.tick.records import Glance
from maestro.tick.verdict import DENIED
from maestro.turns.conduct import Conduct, conducted_by
from maestro.turns.hands import Claim, Hands
from maestro.turns.ports import ContinuationConfig
from maestro.turns.records import ContinuationRecord, ContinuationResumeResult
from maestro.turns.state import TurnState, turn_state
from maestro.turns.triggers import ScheduledWakeTrigger, Trigger, about, mail_for, name_of
from maestro.turns.views import attempts_of, record_of

ROUNDS = 3  # somebody else committed between look and claim: look again, so often

Told = Callable[[ContinuationRecord], Awaitable[None]]


def not_found(continuation_id: str) -> ContinuationNotFoundError:
    return ContinuationNotFoundError(
        f"no continuation {continuation_id[:80]!r}",
        field="continuation_id",
        hint="it is the `id` of what `create` returned",
        id=continuation_id[:128],
        status=None,
        expected="a continuation",
        got=None,
    )


@dataclass(slots=True)
class Resumption:
    """One trigger on its way to its effect."""

    config: ContinuationConfig
    hands: Hands
    trigger: Trigger
    ran: bool = field(default=False, init=False)
    """True when this call carried the tick out."""

    async def of(self, continuation_id: str, told: Told) -> ContinuationResumeResult:
        """The effect that the trigger has, or had.

        Raises:
            see ContinuationRuntime.resume.
        """
        for _ in range(ROUNDS):
            glance, checkpoint, turn = await self._look(continuation_id)
            known = await self._had_effect(glance, checkpoint, turn)
            if known is not None:
                return known
            mail = await self._checked(glance, checkpoint, turn)
            await self.hands.at.backend.store.deliver(glance.cid, mail)
            claim = await self.hands.claim(glance.cid)
            if claim is None:
                raise await self._taken(continuation_id)
            if claim.adopted.rev != glance.rev:
                await self.hands.put_back(claim)
                continue
            self.ran = True
            await self.carry_on(self.config, self.hands, claim, told, mail.id)
            return await self._answer(continuation_id)
        raise await self._taken(continuation_id)

    @staticmethod
    async def carry_on(
        config: ContinuationConfig, hands: Hands, claim: Claim, told: Told, trigger_mail: str | None = None
    ) -> None:
        """The turn in hand was run with the harness, and committed; a lost lease leaves it to who has it now."""
        found = await config.store.look(claim.adopted.cid)
        assert found is not None  # noqa: S101 - it is in hand
        record = record_of(*found)
        if record.wait_for is not None:
            await told(record)
        try:
            await hands.carry(claim, conducted_by(Conduct(config, record, trigger_mail)))
        except Fenced as fenced:
            raise busy(claim.adopted.cid, f"it was lost to epoch {fenced.current} in mid turn") from None

    async def _look(self, continuation_id: str) -> tuple[Glance, Checkpoint, TurnState]:
        """What it is now; a birth whose maker died is finished first."""
        found = await self.config.store.look(continuation_id)
        if found is None:
            raise not_found(continuation_id)
        await self.hands.reclaim(partition_of(found[0].cid))
        if found[1].wait is None and not found[1].terminal:
            await self.config.store.begin(found[0].cid)
        found = await self.config.store.look(continuation_id)
        assert found is not None  # noqa: S101 - nothing is ever deleted
        turn = turn_state(found[1])
        if turn is None:
            raise ContinuationInvalidInputError(
                f"{continuation_id} is no bounded turn: its behaviour {found[1].behaviour} resumes by itself",
                field="continuation_id",
                hint="send it mail: `maestro send`, `reply`, `approve`, `resolve`",
                id=continuation_id,
                status=found[1].status.value,
                expected="turn",
                got=found[1].behaviour,
            )
        return *found, turn

    async def _checked(self, glance: Glance, checkpoint: Checkpoint, turn: TurnState) -> Mail:
        """The mail that carries the trigger, if it may."""
        now_ms = await self.hands.at.backend.clock.now_ms()
        mail = self._mail(checkpoint, turn, now_ms)
        attempts = attempts_of(glance, checkpoint)
        part = resuming.check(checkpoint, glance.holder is not None, attempts, mail, now_ms)
        suspended = glance.hold or checkpoint.hold or ("frozen" if glance.frozen else None)
        if suspended is not None:
            raise _suspended(checkpoint, str(suspended))
        if mail.kind is Kind.REPLY:
            mail = mail.model_copy(update={"correlation": correlation_of(part)})
        return mail

    def _mail(self, checkpoint: Checkpoint, turn: TurnState, now_ms: TimeMs) -> Mail:
        correlation, trigger = about(self.trigger), self.trigger
        if isinstance(trigger, ScheduledWakeTrigger) and trigger.wake_up_id not in (None, turn.wake_up_id):
            correlation = trigger.wake_up_id
        return mail_for(trigger, checkpoint.id, checkpoint.turns, correlation, now_ms)

    async def _had_effect(
        self, glance: Glance, checkpoint: Checkpoint, turn: TurnState
    ) -> ContinuationResumeResult | None:
        """The effect of this very trigger, where it had one."""
        record, name = record_of(glance, checkpoint), name_of(self.trigger)
        if name in turn.applied:
            last = turn.last if turn.applied[-1] == name else None
            return ContinuationResumeResult(continuation=record, harness_result=last)
        if checkpoint.stop_reason == DENIED:
            mail = mail_for(self.trigger, checkpoint.id, checkpoint.turns, None, checkpoint.updated_at_ms)
            log = await verbs.records(self.hands.at, glance.cid)
            if any(note.id == mail.id for note in log[-1].consumed):
                return ContinuationResumeResult(continuation=record, harness_result=None)
        return None

    async def _answer(self, continuation_id: str) -> ContinuationResumeResult:
        """What has come of the tick that was carried."""
        glance, checkpoint, turn = await self._look(continuation_id)
        effect = await self._had_effect(glance, checkpoint, turn)
        if effect is None:
            raise await self._taken(continuation_id)
        return effect

    async def _taken(self, continuation_id: str) -> MaestroError:
        """Why the trigger had no effect: never, or not now."""
        glance, checkpoint, _ = await self._look(continuation_id)
        if checkpoint.terminal:
            return ContinuationAlreadyTerminalError(
                f"{continuation_id} is {checkpoint.status}: {checkpoint.stop_detail or checkpoint.stop_reason}",
                hint="nothing resumes it",
                id=continuation_id,
                status=checkpoint.status.value,
                expected="pending",
                got=checkpoint.status.value,
            )
        if glance.hold or checkpoint.hold:
            return _suspended(checkpoint, str(glance.hold or checkpoint.hold))
        return busy(continuation_id, glance.error or "somebody else has it in hand")


def busy(continuation_id: str, why: str) -> ContinuationBusyError:
    return ContinuationBusyError(
        f"{continuation_id} is not to be had now: {why}",
        hint="the same trigger may come again later",
        id=continuation_id,
        status="resuming",
        expected="pending",
        got="resuming",
    )


def _suspended(checkpoint: Checkpoint, how: str) -> ContinuationStateError:
    return ContinuationStateError(
        f"{checkpoint.id} is held, {how}: {checkpoint.hold_detail or 'no turn runs until somebody thaws it'}",
        hint=f"see `maestro why {checkpoint.id}`, then `maestro thaw {checkpoint.id}`",
        id=checkpoint.id,
        status=checkpoint.status.value,
        expected="no hold",
        got=how,
    )
