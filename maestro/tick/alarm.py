"""Recurring timers: what a behaviour sees of the moments that passed, and when the next one is.

Invariants: pure; a recurring timer fires once and is set again by the commit that read its mail, so that a continuation
that is asleep, held or frozen for a thousand periods has one mail in its mailbox, and none where it is gone; the next
moment keeps the beat of the first and lies after what the tick took for now.
"""

from collections.abc import Mapping, Sequence

from maestro.continuation.directive import Recurring
from maestro.continuation.mail import Kind, Mail
from maestro.ids import MailId, TimeMs

CATCH_UP_AT_MOST = 100  # mails of one timer in one tick; what is older is only counted


def due_of(mail: Mail) -> TimeMs | None:
    """The moment that a timer's mail was due at; None for other mail."""
    if mail.kind is not Kind.TIMER or not isinstance(mail.body, dict):
        return None
    due_ms = mail.body.get("due_ms")
    return TimeMs(due_ms) if isinstance(due_ms, int) else None


def caught_up(mail: Mail, rules: Mapping[str, Recurring], now_ms: TimeMs) -> tuple[Mail, ...]:
    """What a behaviour sees of one mail: itself, or what its timer's rule makes of the moments that were missed."""
    rule, due_ms = rules.get(mail.correlation or ""), due_of(mail)
    if rule is None or due_ms is None:
        return (mail,)
    missed = max(0, now_ms - due_ms) // rule.every_ms
    match rule.catch_up:
        case "one":
            return (_at(mail, due_ms, missed),)
        case "skip":
            return () if missed else (_at(mail, due_ms, 0),)
        case "all":
            first = max(0, missed + 1 - CATCH_UP_AT_MOST)
            moments = [TimeMs(due_ms + nth * rule.every_ms) for nth in range(first, missed + 1)]
            return tuple(_at(mail, moment, first if moment == moments[0] else 0) for moment in moments)


def timers_after(
    before: Mapping[str, TimeMs], rules: Mapping[str, Recurring], read: Sequence[Mail], now_ms: TimeMs
) -> tuple[dict[str, TimeMs], dict[str, TimeMs]]:
    """The timers that are set after `read`, and those of them that are to be set again.

    Mail of a timer that was set anew since it fired ends nothing.
    """
    fired = {(mail.correlation, due_of(mail)) for mail in read if mail.kind is Kind.TIMER}
    kept = {name: due for name, due in before.items() if not {(name, due), (name, None)} & fired}
    over = before.keys() - kept.keys()
    again = {name: _next(before[name], rules[name], now_ms) for name in sorted(over) if name in rules}
    return {**kept, **again}, again


def _next(due_ms: TimeMs, rule: Recurring, now_ms: TimeMs) -> TimeMs:
    return TimeMs(due_ms + (max(0, now_ms - due_ms) // rule.every_ms + 1) * rule.every_ms)


def _at(mail: Mail, due_ms: TimeMs, missed: int) -> Mail:
    name = MailId(f"timer:{mail.correlation}:{due_ms}")
    return mail.model_copy(update={"id": name, "body": {"due_ms": due_ms, "missed": missed}})
