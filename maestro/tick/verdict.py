"""What is decided about a continuation before a line of its code runs: by its bounds, by time, by a person's word.

    deadline over                      -> failed, `deadline`
    wait timed out, expire             -> expired, `expired_ttl`
    wait timed out, escalate           -> others are told, the wait goes on with new time
    wait timed out, approve or deny    -> as if a person had said so, and marked
    approval denied, on_denied=end     -> cancelled, `approval_denied`
    exit of a linked one, not trapped  -> ends as that one did
    word on what was asked otherwise   -> unheard: the approval is asked for anew
    attention was granted              -> the question is asked now
    attempts or turns used up          -> failed, `max_attempts_exceeded`, `max_turns_exceeded`

Pure. What came in time counts, however late the tick is that reads it: accepted is accepted.
Source: spec/01 sections 5.2, 5.3, 5.5, 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from maestro.continuation.approval import changed
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Act, Closing, Fail, Publish, Send, Sleep
from maestro.continuation.expiry import timed_out
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.mail import ALWAYS_WAKE, Control, Kind, Mail, wakes
from maestro.continuation.resume import MAX_ATTEMPTS_EXCEEDED
from maestro.continuation.wait import (
    TTL_TIMER,
    ApprovalResolution,
    ExternalResult,
    ScheduledWake,
    Simple,
    WaitFor,
    awaits_attention,
    describe,
    left,
    mapped,
    parts,
    wake_keys,
)
from maestro.errors import InvalidInput
from maestro.ids import MailId, TimeMs, check_continuation_id
from maestro.pager.placed import ANSWERED
from maestro.tick.alarm import caught_up
from maestro.tick.ties import dragged_along, unheard
from maestro.tick.transition import Transition
from maestro.tick.waiting import waited_for

DEADLINE = "deadline"
EXPIRED = "expired_ttl"
DENIED = "approval_denied"
MAX_TURNS_EXCEEDED = "max_turns_exceeded"
TIMEOUT = "timeout"
"""Who speaks where a timeout decides."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A continuation in hand, as far as it matters to whether its code runs."""

    before: Checkpoint
    inbox: tuple[Mail, ...]
    controls: tuple[Mail, ...]
    tries: int
    now_ms: TimeMs
    policy_version: str
    born_of_fork: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the tick: an end without code, or what the code is to see."""

    ending: Transition | None
    shown: tuple[Mail, ...]
    lapsed: Simple | None = None
    trigger: Mail | None = None
    autonomous_decision: str | None = None


def verdict(at: Situation) -> Verdict:
    """What becomes of this tick."""
    before, over = at.before, at.before.bounds.deadline_ms
    if over is not None and at.now_ms >= over:
        return Verdict(_failed(before, DEADLINE, f"its deadline was {over} ms on the store's clock"), ())
    dragged = dragged_along(before, at.inbox)
    if dragged is not None:
        return Verdict(dragged, ())
    waits = None if at.born_of_fork else waited_for(before)
    heard = _heard(at, waits)
    lapsed = None if heard else timed_out(waits, at.now_ms)
    found = _shown(at, heard) if lapsed is None or waits is None else _lapsed(at, waits, lapsed)
    if found.ending is not None:
        return found
    exhausted = _used_up(at)
    return found if exhausted is None else replace(found, ending=exhausted)


def in_time(wait: WaitFor, mail: Mail) -> bool:
    """True when `mail` came while a wait that it ends was still open; a timer counts from when it was due."""
    if mail.kind in ALWAYS_WAKE:
        return True
    ended = [part for part in parts(wait) if wakes(wake_keys(part), mail.wake_key)]
    return not ended or any(
        isinstance(part, ScheduledWake) or part.expires_at_ms is None or mail.sent_ms < part.expires_at_ms
        for part in ended
    )


def same_wait(before: Checkpoint, read: Sequence[Mail] = (), lapsed: Simple | None = None) -> Closing:
    """Going on to wait for what has not come; for anything, where all of it has or nothing was waited for yet."""
    wait = waited_for(before)
    if wait is None:
        return Sleep()
    living = {cid for cid, child in before.children.items() if child.status not in TERMINAL}
    still = left(wait, {mail.wake_key for mail in read}, living - {mail.child for mail in read})
    if still is not None and lapsed is not None:
        still = _without(still, lapsed)
    return Sleep() if still is None else Sleep(wait=still)


def _lapsed(at: Situation, waits: WaitFor, part: Simple) -> Verdict:
    """The time of `part` is over, and nothing came in time."""
    before, told = at.before, _timeout_mail(part, at.now_ms)
    match part.on_timeout:
        case "expire":
            return Verdict(_failed(before, EXPIRED, f"nothing came in time: {describe(part)}"), (), part, told)
        case "escalate":
            return Verdict(_escalated(before, waits, part), (), part, told)
        case "resume":
            return Verdict(None, (told,), part, told)
        case "approve" | "deny":
            assert isinstance(part, ApprovalResolution)  # noqa: S101 - the only wait that may say so
            decision = "approved" if part.on_timeout == "approve" else "denied"
            word = _word(part, decision, at.now_ms)
            return Verdict(_denial(before, (word,)), (word,), part, word, decision)


def _heard(at: Situation, waits: WaitFor | None) -> list[Mail]:
    """What came, without words on what is not asked."""
    open_ = {part.approval_id: part for part in parts(waits) if isinstance(part, ApprovalResolution)} if waits else {}
    return [mail for mail in at.inbox if not _is_stale(mail, open_, at)]


def _shown(at: Situation, heard: Sequence[Mail]) -> Verdict:
    """What the code is to see: recurring timers as their rules want it; where that is nothing, no code runs."""
    shown = tuple(seen for mail in heard for seen in caught_up(mail, at.before.recurring, at.now_ms))
    orders = {mail.subject for mail in at.controls} - {Control.NOTIFIED, Control.EDITED}
    idle = not orders or (orders == {Control.GRANTED} and (bool(at.inbox) or _attention_granted(at)))
    if not shown and idle:
        return Verdict(Transition(at.before.state, (), same_wait(at.before)), ())
    return Verdict(_denial(at.before, shown), shown)


def _is_stale(mail: Mail, open_: dict[str, ApprovalResolution], at: Situation) -> bool:
    """An end that is not heard of, an answer to a call that nobody waits for, or a word on what is asked otherwise."""
    if mail.kind is Kind.RESULT and mail.subject == ANSWERED:
        waits = waited_for(at.before)
        open_calls = [part.operation_id for part in parts(waits) if isinstance(part, ExternalResult)] if waits else []
        return mail.correlation not in open_calls
    if mail.kind is not Kind.APPROVAL:
        return unheard(at.before, mail)
    asked = open_.get(mail.correlation or "")
    if asked is None:
        return True
    given = mail.body.get("binding", asked.binding) if isinstance(mail.body, dict) else asked.binding
    return given != asked.binding or bool(changed(asked, at.before.state, at.policy_version))


def _denial(before: Checkpoint, shown: Sequence[Mail]) -> Transition | None:
    """The end of one that was denied what it asked for, unless it wants to go on without."""
    wait = waited_for(before)
    denials = {mail.correlation: mail for mail in shown if _is_denial(mail)}
    for part in parts(wait) if wait is not None else ():
        if isinstance(part, ApprovalResolution) and part.on_denied == "end" and part.approval_id in denials:
            by = _object(denials[part.approval_id].body).get("by", "somebody")
            return _failed(before, DENIED, f"{part.action}: denied by {by}")
    return None


def _is_denial(mail: Mail) -> bool:
    return mail.kind is Kind.APPROVAL and _object(mail.body).get("decision") == "denied"


def notices(controls: Sequence[Mail]) -> dict[str, str]:
    """Approval id -> how telling people of it went."""
    told = [_object(mail.body) for mail in controls if mail.subject == Control.NOTIFIED]
    return {str(notice.get("approval_id")): str(notice.get("outcome")) for notice in told}


def _attention_granted(at: Situation) -> bool:
    """True when what was granted is the attention that a question waits for."""
    wait = at.before.wait
    return wait is not None and any(awaits_attention(part) for part in parts(wait))


def _used_up(at: Situation) -> Transition | None:
    """The end of one whose bounds allow no further run of its code."""
    bounds, before = at.before.bounds, at.before
    if bounds.max_turns is not None and before.turns >= bounds.max_turns:
        return _failed(before, MAX_TURNS_EXCEEDED, f"it has had its {bounds.max_turns} turns")
    attempts = before.resume_attempts + at.tries - 1
    if before.wait is not None and attempts >= bounds.max_resume_attempts:
        return _failed(before, MAX_ATTEMPTS_EXCEEDED, f"resumed {attempts} times in a row without getting further")
    return None


def _escalated(before: Checkpoint, waits: WaitFor, lapsed: Simple) -> Transition:
    """Others are told, and there is more time; nobody named means the parent, if there is one."""
    body: JsonValue = {
        "escalation": describe(lapsed),
        "continuation": before.id,
        "wait": lapsed.model_dump(mode="json"),
        "times": lapsed.escalated + 1,
    }
    whom = lapsed.escalate_to or ((before.parent,) if before.parent else ())
    acts = tuple(_told(name, body, f"{lapsed.opened_ms}-{lapsed.escalated + 1}") for name in whom)
    more = {"opened_ms": None, "expires_at_ms": None, "escalated": lapsed.escalated + 1}
    wait = mapped(waits, lambda part: part.model_copy(update=more) if part == lapsed else part)
    return Transition(before.state, acts, Sleep(wait=wait))


def _told(name: str, body: JsonValue, key: str) -> Act:
    """A letter to a continuation; to anybody else an event, which a notifier may turn into whatever reaches people."""
    try:
        return Send(to=check_continuation_id(name), subject="escalation", body=body)
    except InvalidInput:
        payload = {"to": name, **_object(body)}
        return Publish(subject="escalation", event_type="escalation", key=f"{name}-{key}", payload=payload)


def _without(wait: WaitFor, gone: Simple) -> WaitFor | None:
    still = [part for part in parts(wait) if part != gone]
    if not still:
        return None
    return still[0] if len(still) == 1 else wait.model_copy(update={"waits": tuple(still)})


def _failed(before: Checkpoint, reason: str, detail: str) -> Transition:
    return Transition(before.state, (), Fail(reason=detail), stop_reason=reason)


def _timeout_mail(part: Simple, now_ms: TimeMs) -> Mail:
    due_ms = part.expires_at_ms
    body: JsonValue = {"due_ms": due_ms, "wait": part.type}
    return Mail(
        id=MailId(f"timer:{TTL_TIMER}:{due_ms}"),
        kind=Kind.TIMER,
        sender=TIMEOUT,
        subject=TTL_TIMER,
        correlation=TTL_TIMER,
        body=body,
        sent_ms=now_ms,
    )


def _word(part: ApprovalResolution, decision: str, now_ms: TimeMs) -> Mail:
    body: JsonValue = {"decision": decision, "by": TIMEOUT, "autonomous": True, "binding": part.binding}
    return Mail(
        id=MailId(f"timeout:{part.approval_id}"),
        kind=Kind.APPROVAL,
        sender=TIMEOUT,
        subject=part.action,
        correlation=part.approval_id,
        body=body,
        sent_ms=now_ms,
    )


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
