"""One resumed turn: the harness as the behaviour of a tick.

Invariants: the harness runs at most once in a tick, for one trigger; what it raises is the end of the continuation, not
of the process; its result, the next wait and the state of its delivery are one commit.

Source: spec/01 sections 5, 5.4, 10.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maestro.continuation.bounds import Bounds
from maestro.continuation.directive import Closing, Fail, Finish, Sleep
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import WaitFor
from maestro.errors import ContinuationInvalidInputError, StoreError
from maestro.ids import ContinuationId
from maestro.tick.context import Tick
from maestro.turns.outcomes import TurnWait, is_scheduled, wait_for, wake_at_ms
from maestro.turns.ports import ContinuationConfig, ContinuationResumedTurnInput, KnowsSessions
from maestro.turns.records import ContinuationRecord, Delivery, DeliveryState, HarnessResult, TurnOutcome, given, moment
from maestro.turns.state import APPLIED_KEPT, Turn, TurnState
from maestro.turns.triggers import TimeoutTrigger, Trigger, meant_for, trigger_in


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a tick of a turn is conducted with: the adapters, and the record and the trigger that are in hand."""

    config: ContinuationConfig
    record: ContinuationRecord
    trigger_mail: str | None = None
    """The mail of whoever resumes; what others sent meanwhile has no effect. None: the first that fits."""

    async def resume(self, tick: Tick[TurnState], name: str, trigger: Trigger) -> Closing:
        """The turn was run, and its outcome is what the tick ends with."""
        try:
            result = await self._run(tick, trigger)
            closing, wake_up_id = await self._closing(tick, result)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a harness may raise anything
            result = HarnessResult(outcome=TurnOutcome.FAILED, error=f"{type(error).__name__}: {error}")
            closing, wake_up_id = Fail(reason=result.error or ""), None
        tick.state = tick.state.model_copy(
            update={
                "last": result,
                "applied": (*tick.state.applied, name)[-APPLIED_KEPT:],
                "resumed_at_ms": tick.now_ms,
                "wake_up_id": wake_up_id,
                "deliverable": self.config.delivery is not None,
                "delivery": Delivery() if isinstance(closing, Sleep) else await self._delivery(tick, result),
            }
        )
        return closing

    async def _run(self, tick: Tick[TurnState], trigger: Trigger) -> HarnessResult:
        left = tick.state.last
        asked = ContinuationResumedTurnInput(
            continuation=self.record,
            trigger=trigger,
            continuation_state={} if left is None else left.continuation_state,
        )
        result: HarnessResult | Mapping[str, Any] = await self.config.harness.run_resumed_turn(asked)
        return given(HarnessResult, result)

    async def _closing(self, tick: Tick[TurnState], result: HarnessResult) -> tuple[Closing, str | None]:
        match result.outcome:
            case TurnOutcome.COMPLETED:
                return Finish(result=result.content), None
            case TurnOutcome.FAILED:
                return Fail(reason=result.error or result.content or "the turn failed"), None
            case _:
                name = f"{tick.id}:{tick.about.turns}"
                wait, wake_up_id = await opened_wait(self.config, tick.id, result, name, tick.about.bounds)
                return Sleep(wait=wait), wake_up_id

    async def _delivery(self, tick: Tick[TurnState], result: HarnessResult) -> Delivery:
        """What becomes of the delivery of a result that is the last; the first that fits."""
        adapter, session = self.config.delivery, tick.state.session_id
        if adapter is None or result.content is None:
            return Delivery()
        since = moment(tick.now_ms)
        if isinstance(adapter, KnowsSessions) and await adapter.session_reengaged(session, since):
            return Delivery(state=DeliveryState.SUPPRESSED_SESSION_REENGAGED)
        return Delivery(state=DeliveryState.PENDING_DELIVERY)


async def opened_wait(
    config: ContinuationConfig, cid: ContinuationId, result: HarnessResult, question_of: str, bounds: Bounds
) -> tuple[TurnWait, str | None]:
    """What `result` waits for, and the wake-up that the scheduler was asked for, if it waits for a time.

    Raises:
        ContinuationInvalidInputError: it does not name what it needs, or there is no scheduler to wake it.
    """
    wait = wait_for(result, question_of, bounds, config.defaults)
    if not is_scheduled(result):
        return wait, None
    if config.scheduler is None:
        raise ContinuationInvalidInputError(
            "a scheduled wake needs a scheduler, and this runtime has none",
            field="harness_result.metadata.scheduled_wake",
            hint="give the runtime a scheduler, such as StoreScheduler()",
            id=cid,
            expected="scheduler",
            got=None,
        )
    return wait, (await config.scheduler.schedule_wake(cid, wake_at_ms(result))).wake_up_id


def conducted_by(conduct: Conduct) -> type[Turn]:
    """The behaviour `turn` with a harness in it."""

    class ConductedTurn(Turn):
        name = Turn.name
        pool = Turn.pool

        async def run(self, tick: Tick[TurnState]) -> Closing | None:
            if any(mail.kind is Kind.START for mail in tick.inbox):
                return await self.start(tick)
            mail = _chosen(tick.inbox, tick.about.turns, conduct.trigger_mail)
            if mail is None:
                return None if tick.about.wait is None else Sleep(wait=tick.about.wait)
            return await conduct.resume(tick, *trigger_in(mail))

        async def on_timeout(self, tick: Tick[TurnState], wait: WaitFor) -> Closing | None:
            trigger = TimeoutTrigger(waited_for=wait.type, fired_at=moment(tick.now_ms))
            return await conduct.resume(tick, trigger.id, trigger)

    return ConductedTurn


def _chosen(inbox: tuple[Mail, ...], turn: int, wanted: str | None) -> Mail | None:
    """The trigger that this tick is for: that of whoever resumes, else the first that was meant for this wait."""
    fitting = [mail for mail in inbox if meant_for(mail, turn)]
    return next((mail for mail in fitting if mail.id == wanted), next(iter(fitting), None))
