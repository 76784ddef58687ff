"""From what a turn ended with to what its continuation waits for.

    needs_clarification                      user_reply
    awaiting_approval                        approval_resolution    needs approval_id
    deferred                                 external_result        needs operation_id
    deferred, metadata.scheduled_wake true   scheduled_wake         needs wake_at, and a scheduler

Pure. Invariants: completed and failed leave nothing to wait for; what a wait needs and the result does not name is
refused by name.

Source: spec/01 sections 5, 5.1, 5.5, 6.
"""

from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from maestro.continuation.bounds import Bounds, TtlDefaults
from maestro.continuation.wait import (
    ApprovalResolution,
    ExternalResult,
    ScheduledWake,
    UserReply,
)
from maestro.errors import ContinuationInvalidInputError
from maestro.ids import TimeMs, derived_token
from maestro.turns.records import FINAL, HarnessResult, TurnOutcome, milliseconds

TurnWait = UserReply | ApprovalResolution | ExternalResult | ScheduledWake
W = TypeVar("W", UserReply, ApprovalResolution, ExternalResult, ScheduledWake)
_TIME = TypeAdapter(datetime)
_ASKED_OF_WAITS = ("on_timeout", "on_denied", "escalate_to", "approvers")
"""What metadata may say of the wait itself."""


def wait_for(result: HarnessResult, question_of: str, bounds: Bounds, defaults: TtlDefaults) -> TurnWait:
    """What a turn that ended in `result` waits for.

    Args:
        question_of: names this turn: a question asked again later is another question.

    Raises:
        ContinuationInvalidInputError: there is nothing to wait for, or the result does not name what is needed.
    """
    match result.outcome:
        case TurnOutcome.COMPLETED | TurnOutcome.FAILED:
            raise _refused(
                "harness_result.outcome",
                f"a turn that ended {result.outcome} leaves nothing to resume",
                f"create continuations of {', '.join(sorted(set(TurnOutcome) - FINAL))}",
                result.outcome.value,
            )
        case TurnOutcome.NEEDS_CLARIFICATION:
            terms = _terms(result, bounds, defaults.user_reply_ms, UserReply)
            name = derived_token("question", question_of)
            return _made(UserReply, question_id=name, question=result.content or "", **terms)
        case TurnOutcome.AWAITING_APPROVAL:
            terms = _terms(result, bounds, defaults.approval_resolution_ms, ApprovalResolution)
            action = str(result.named("action") or result.content or "go on")
            arguments = result.named("arguments")
            approval_id = _required(result, "approval_id")
            return _made(ApprovalResolution, approval_id=approval_id, action=action, arguments=arguments, **terms)
        case TurnOutcome.DEFERRED if is_scheduled(result):
            terms = _terms(result, bounds, defaults.scheduled_wake_ms, ScheduledWake)
            return _made(ScheduledWake, wake_at_ms=wake_at_ms(result), **terms)
        case TurnOutcome.DEFERRED:
            terms = _terms(result, bounds, defaults.external_result_ms, ExternalResult)
            return _made(ExternalResult, operation_id=_required(result, "operation_id"), **terms)


def is_scheduled(result: HarnessResult) -> bool:
    """True when the turn asked to be woken at a time."""
    return result.outcome is TurnOutcome.DEFERRED and result.named("scheduled_wake") is True


def wake_at_ms(result: HarnessResult) -> TimeMs:
    """When.

    Raises:
        ContinuationInvalidInputError: it does not say, or not in words that mean a time.
    """
    told = result.named("wake_at")
    in_ms = result.named("wake_at_ms")
    if isinstance(in_ms, int):
        return TimeMs(in_ms)
    if told is None:
        raise _missing("wake_at", result)
    try:
        return milliseconds(told if isinstance(told, datetime) else _TIME.validate_python(told))
    except ValidationError:
        hint = "write it as 2026-01-31T12:00:00Z"
        raise _refused("harness_result.wake_at", f"{told!r} is no time", hint, told) from None


def _terms(result: HarnessResult, bounds: Bounds, default_ms: int, kind: type[TurnWait]) -> dict[str, Any]:
    asked = {name: value for name in _ASKED_OF_WAITS if (value := result.named(name)) is not None}
    return {"ttl_ms": bounds.ttl_ms or default_ms, **{k: v for k, v in asked.items() if k in kind.model_fields}}


def _made(kind: type[W], **fields: Any) -> W:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise _refused(f"harness_result.metadata.{field}", first["msg"], "leave it out", first["input"]) from None


def _required(result: HarnessResult, name: str) -> str:
    value = result.named(name)
    if not isinstance(value, str) or not value:
        raise _missing(name, result)
    return value


def _missing(name: str, result: HarnessResult) -> ContinuationInvalidInputError:
    message = f"a turn that ended {result.outcome} has to name its {name}"
    return _refused(f"harness_result.{name}", message, f"put {name} into continuation_state or metadata", None)


def _refused(field: str, message: str, hint: str, got: object) -> ContinuationInvalidInputError:
    return ContinuationInvalidInputError(message, field=field, hint=hint, expected=field, got=got)
