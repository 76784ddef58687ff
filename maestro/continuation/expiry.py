"""When waits expire, and which of them goes on over a tick.

Invariants: pure; a wait that goes on keeps the moment at which it opened, so that ticks in between never lengthen it;
the first of several to expire decides for all.
A wake that the store's own timer brings is never too late: late is then the timer, and it tells how late it is. So a
scheduled wake says when it expires to those who ask, and no timer watches it.

Source: spec/01 sections 5.5 and 6; X-09.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from maestro.continuation.bounds import TTL_DEFAULTS, UNBOUNDED, Bounds, TtlDefaults
from maestro.continuation.wait import (
    AnyOf,
    ApprovalResolution,
    BudgetGrant,
    Children,
    ExternalResult,
    ScheduledWake,
    Simple,
    StreamEvent,
    UserReply,
    WaitFor,
    left,
    mapped,
    parts,
)
from maestro.ids import TimeMs


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides how long a wait that opens now may last."""

    now_ms: TimeMs
    bounds: Bounds = UNBOUNDED
    defaults: TtlDefaults = TTL_DEFAULTS


def expiry(wait: WaitFor, terms: Terms) -> TimeMs | None:
    """When `wait` expires if it opens now; None where only the record's deadline ends it."""
    match wait:
        case AnyOf():
            return _first(expiry(part, terms) for part in wait.waits)
        case StreamEvent() | Children() | BudgetGrant():
            return None if wait.ttl_ms is None else TimeMs(terms.now_ms + wait.ttl_ms)
        case UserReply() | ApprovalResolution() | ExternalResult():
            return TimeMs(terms.now_ms + _ttl_ms(wait, terms))
        case ScheduledWake():
            return TimeMs(max(terms.now_ms, wait.wake_at_ms) + _ttl_ms(wait, terms))


def opened(wait: WaitFor, earlier: Collection[Simple], arrived: Collection[str], terms: Terms) -> WaitFor:
    """`wait` with its stamps: those that it had where it goes on, new ones where it opens.

    Args:
        earlier: what was waited for before, without what has timed out in this tick.
        arrived: wake keys of the mail that the tick has read; what such mail has ended opens anew.
    """
    return mapped(wait, lambda part: _stamped(part, earlier, arrived, terms))


def goes_on(part: Simple, earlier: Collection[Simple], arrived: Collection[str]) -> Simple | None:
    """The earlier wait that `part` continues, with its stamps; None where it opens anew."""
    for old in earlier:
        over = bool(arrived) if isinstance(old, StreamEvent) else _ended(old, arrived)
        if not over and _bare(old) == _bare(part):
            return old
    return None


def expires_at(wait: WaitFor | None) -> TimeMs | None:
    """When an opened wait expires, None when it does not."""
    return _first(part.expires_at_ms for part in parts(wait)) if wait is not None else None


def watched_until(wait: WaitFor | None) -> TimeMs | None:
    """When the store has to look at an opened wait because it expires."""
    return _first(part.expires_at_ms for part in _watched(wait))


def timed_out(wait: WaitFor | None, now_ms: TimeMs) -> Simple | None:
    """The part whose time ended first, if its time has ended."""
    over = [part for part in _watched(wait) if part.expires_at_ms is not None and part.expires_at_ms <= now_ms]
    return min(over, key=lambda part: part.expires_at_ms or 0, default=None)


def patience(wait: WaitFor | None) -> str:
    """Since when and until when it waits, and what happens then, in words for a person; empty where time ends none."""
    timed = [part for part in (() if wait is None else parts(wait)) if part.expires_at_ms is not None]
    first = min(timed, key=lambda part: part.expires_at_ms or 0, default=None)
    if first is None:
        return ""
    often = f", escalated {first.escalated} times" if first.escalated else ""
    times = f"since {first.opened_ms} ms, until {first.expires_at_ms} ms on the store's clock"
    told = first.notified if isinstance(first, ApprovalResolution) else None
    return f"{times}{often}, then {_OUTCOMES[first.on_timeout]}" + (f"; its approvers: {told}" if told else "")


_OUTCOMES = {
    "expire": "it expires",
    "escalate": "it is escalated",
    "resume": "the behaviour decides",
    "approve": "it counts as approved",
    "deny": "it counts as denied",
}


def _watched(wait: WaitFor | None) -> list[Simple]:
    return [part for part in (() if wait is None else parts(wait)) if not isinstance(part, ScheduledWake)]


def _stamped(part: Simple, earlier: Collection[Simple], arrived: Collection[str], terms: Terms) -> Simple:
    old = goes_on(part, earlier, arrived)
    if old is not None:
        stamps = {"opened_ms": old.opened_ms, "expires_at_ms": old.expires_at_ms, "escalated": old.escalated}
        if isinstance(old, ApprovalResolution):
            return part.model_copy(update={**stamps, "notified": old.notified})
        return part.model_copy(update=stamps)
    until = expiry(part, terms)
    stamps = {"opened_ms": None if until is None else terms.now_ms, "expires_at_ms": until}
    if isinstance(part, ApprovalResolution):
        return part.model_copy(update={**stamps, "notified": None})
    return part.model_copy(update=stamps)


def _ended(old: Simple, arrived: Collection[str]) -> bool:
    """True when mail that was read has ended it; ends of children leave the rest of a join going on."""
    return not isinstance(old, Children) and left(old, arrived, ()) is None


def _bare(part: Simple) -> object:
    """What makes a wait the same wait, whatever is stamped on it."""
    match part:
        case ApprovalResolution():
            return part.approval_id
        case Children():
            return part.type
        case _:
            return part.model_copy(update={"opened_ms": None, "expires_at_ms": None, "escalated": 0})


def _ttl_ms(wait: UserReply | ApprovalResolution | ExternalResult | ScheduledWake, terms: Terms) -> int:
    return wait.ttl_ms or terms.bounds.ttl_ms or terms.defaults.of(wait.type)


def _first(moments: Iterable[TimeMs | None]) -> TimeMs | None:
    return min((moment for moment in moments if moment is not None), default=None)
