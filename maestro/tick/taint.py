"""Taint: what of a tick comes from outside, and what comes of it.

What feeds, the web and tools say is untrusted. So is a tick that such mail is part of, or that has read what a tool
returned or what an untrusted entry of the field says; so is whatever follows from it: its messages, events, findings,
timers, children and their ends.
Invariants: pure; only a trusted word (of a person, a program, a tick that was not tainted) makes the next tick clean.

Source: PROMISES B75, 5.6.
"""

from collections.abc import Sequence

from maestro.continuation.mail import Kind, Mail

_ECHOES = frozenset({Kind.START, Kind.TIMER, Kind.CHILD, Kind.CONTROL, Kind.MERGE, Kind.DOWN, Kind.EXIT})
"""What the continuation, or its family, has caused itself: as trusted as the tick that caused it."""


def taint_of(tainted_before: bool, inbox: Sequence[Mail]) -> tuple[str, ...]:
    """What of the cause of a tick is untrusted, in words; empty when nothing is."""
    untrusted = dict.fromkeys(f"{mail.kind} from {mail.sender}" for mail in inbox if mail.trust == "untrusted")
    reasons = [f"its cause: {', '.join(list(untrusted)[:3])}"] if untrusted else []
    if tainted_before and not any(_is_word(mail) for mail in inbox):
        reasons.append("what an earlier tick had read")
    return tuple(reasons)


def _is_word(mail: Mail) -> bool:
    return mail.trust == "trusted" and mail.kind not in _ECHOES
