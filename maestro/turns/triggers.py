"""Triggers: what resumes a bounded turn, as callers write it and as mail carries it.

Invariants: a trigger is one mail, named by the trigger's id and the turn that it was meant for, so that the same
trigger twice has one effect and a late one fits no later wait; mail that did not come through this API (a person's word
at the command line, the store's own timer) reads as the trigger that it means.

Source: spec/01 section 5.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter
from pydantic.alias_generators import to_camel

from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.wait import WAKE_TIMER
from maestro.ids import ContinuationId, MailId, TimeMs, derived_token, new_token

SENDER = "turns"
"""Who sends what comes through this API."""


class _Trigger(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(default_factory=lambda: new_token("trigger"))
    """Names this trigger: the same id again is the same trigger."""


class UserMessage(BaseModel):
    """What a user wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    id: str
    text: str
    received_at: datetime | None = None


class UserReplyTrigger(_Trigger):
    """A user answered. Its message's id names it where it has none of its own."""

    type: Literal["user_reply"] = "user_reply"
    message: UserMessage
    received_at: datetime | None = None


class ApprovalTrigger(_Trigger):
    """A person decided."""

    type: Literal["approval_resolution"] = "approval_resolution"
    approval_id: str
    decision: Literal["approved", "denied", "edited"]
    resolved_at: datetime | None = None
    payload: JsonValue = None
    """What was approved in place of what was asked, where it was edited."""


class ExternalResultTrigger(_Trigger):
    """An operation outside ended."""

    type: Literal["external_result"] = "external_result"
    operation_id: str
    resolved_at: datetime | None = None
    payload: JsonValue = None


class ScheduledWakeTrigger(_Trigger):
    """The time came."""

    type: Literal["scheduled_wake"] = "scheduled_wake"
    wake_up_id: str | None = None
    fired_at: datetime | None = None


class StreamEventTrigger(_Trigger):
    """Something that it subscribed to happened."""

    type: Literal["stream_event"] = "stream_event"
    subscription_id: str
    stream: str
    event_type: str = "event"
    payload: JsonValue = None
    matched_at: datetime | None = None


class ChildTrigger(_Trigger):
    """A child ended."""

    type: Literal["children"] = "children"
    child_id: str
    status: str
    result: JsonValue = None


class BudgetTrigger(_Trigger):
    """Somebody granted more."""

    type: Literal["budget"] = "budget"
    resource: str = ""


class TimeoutTrigger(_Trigger):
    """Nothing came in time, and the wait says `on_timeout="resume"`; the store's clock alone gives it."""

    type: Literal["timeout"] = "timeout"
    waited_for: str
    fired_at: datetime | None = None


ContinuationResumeTrigger = Annotated[
    UserReplyTrigger
    | ApprovalTrigger
    | ExternalResultTrigger
    | ScheduledWakeTrigger
    | StreamEventTrigger
    | ChildTrigger
    | BudgetTrigger
    | TimeoutTrigger,
    Field(discriminator="type"),
]
Trigger = (
    UserReplyTrigger
    | ApprovalTrigger
    | ExternalResultTrigger
    | ScheduledWakeTrigger
    | StreamEventTrigger
    | ChildTrigger
    | BudgetTrigger
    | TimeoutTrigger
)
_ANY: TypeAdapter[Trigger] = TypeAdapter(ContinuationResumeTrigger)
_KINDS = {
    "user_reply": Kind.REPLY,
    "approval_resolution": Kind.APPROVAL,
    "external_result": Kind.RESULT,
    "scheduled_wake": Kind.TIMER,
    "stream_event": Kind.EVENT,
    "children": Kind.CHILD,
    "budget": Kind.CONTROL,
    "timeout": Kind.TIMER,
}


def name_of(trigger: Trigger) -> str:
    """What makes two triggers the same one: the id that its sender gave it, or what it is about."""
    if "id" in trigger.model_fields_set:
        return trigger.id
    match trigger:
        case UserReplyTrigger():
            return derived_token("trigger", "message", trigger.message.id)
        case ApprovalTrigger():
            return derived_token("trigger", "approval", trigger.approval_id, trigger.decision)
        case ExternalResultTrigger():
            return derived_token("trigger", "operation", trigger.operation_id)
        case ScheduledWakeTrigger(wake_up_id=str(wake_up)):
            return derived_token("trigger", "wake", wake_up)
        case _:
            return trigger.id


def mail_for(trigger: Trigger, cid: ContinuationId, turn: int, correlation: str | None, now_ms: TimeMs) -> Mail:
    """The mail that brings `trigger` to `cid` after so many turns."""
    name = name_of(trigger)
    decided = {"decision": trigger.decision, "by": SENDER} if isinstance(trigger, ApprovalTrigger) else {}
    return Mail(
        id=MailId(derived_token("turn", cid, turn, name)),
        kind=_KINDS[trigger.type],
        sender=SENDER,
        subject=Control.GRANTED.value if trigger.type == "budget" else trigger.type,
        body={**decided, "turn": turn, "name": name, "trigger": trigger.model_dump(mode="json")},
        correlation=correlation,
        sent_ms=now_ms,
    )


def about(trigger: Trigger) -> str | None:
    """What `trigger` names: the correlation id that must be the wait's own."""
    match trigger:
        case ApprovalTrigger():
            return trigger.approval_id
        case ExternalResultTrigger():
            return trigger.operation_id
        case ScheduledWakeTrigger():
            return WAKE_TIMER
        case StreamEventTrigger():
            return trigger.subscription_id
        case ChildTrigger():
            return trigger.child_id
        case TimeoutTrigger():
            return trigger.id
        case UserReplyTrigger() | BudgetTrigger():
            return None


def trigger_in(mail: Mail) -> tuple[str, Trigger]:
    """The name and the trigger that `mail` brings, wherever it came from."""
    body = mail.body if isinstance(mail.body, dict) else {}
    if mail.sender == SENDER and "trigger" in body:
        return str(body["name"]), _ANY.validate_python(body["trigger"])
    at = datetime.fromtimestamp(mail.sent_ms / 1000, UTC)
    about_ = mail.correlation or ""
    match mail.kind:
        case Kind.REPLY | Kind.MESSAGE:
            text = str(body.get("text", body or mail.body))
            found: Trigger = UserReplyTrigger(
                id=mail.id, message=UserMessage(id=mail.id, text=text, received_at=at), received_at=at
            )
        case Kind.APPROVAL:
            decision = body.get("decision")
            found = ApprovalTrigger(
                id=mail.id,
                approval_id=about_,
                decision=decision if decision in ("approved", "edited") else "denied",  # type: ignore[arg-type]
                resolved_at=at,
                payload=body.get("arguments"),
            )
        case Kind.RESULT:
            found = ExternalResultTrigger(id=mail.id, operation_id=about_, resolved_at=at, payload=mail.body)
        case Kind.CHILD:
            status = str(body.get("status", ""))
            found = ChildTrigger(id=mail.id, child_id=about_, status=status, result=body.get("result"))
        case Kind.EVENT:
            found = StreamEventTrigger(
                id=mail.id, subscription_id=about_, stream=mail.subject, payload=mail.body, matched_at=at
            )
        case _:
            found = ScheduledWakeTrigger(id=mail.id, fired_at=at)
    return found.id, found


def meant_for(mail: Mail, turn: int) -> bool:
    """False for a trigger that was sent to an earlier wait, and came too late for it."""
    body = mail.body if isinstance(mail.body, dict) else {}
    return mail.sender != SENDER or body.get("turn") == turn
