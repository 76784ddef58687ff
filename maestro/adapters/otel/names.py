"""The ids of traces and spans that somebody else must know, as functions of what they are about.

    trace   of the wake that leads to tick `rev` of a continuation: every try of it is in the same one
    span    of the commit of that tick: there is one at most, whoever tried

Invariant: pure; so a wake is linked to the commit that wrote its mail by the mail's id alone, across processes, nodes
and weeks, and no trace context travels with mail or is kept in the store.
"""

import hashlib
import re

from maestro.continuation.mail import Mail

_OF_A_TICK = re.compile(r"(?P<cid>[0-9a-z]{22}-[0-9a-z]{1,4}):(?P<rev>\d{1,18}):\d{1,18}")
"""The id of a letter or an event that a tick wrote: whose tick, which, and its how-manieth act."""


def trace_of(cid: str, rev: int) -> int:
    """128 bits."""
    return int.from_bytes(_digest("trace", cid, rev)[:16], "big")


def commit_of(cid: str, rev: int) -> int:
    """64 bits."""
    return int.from_bytes(_digest("commit", cid, rev)[:8], "big")


def cause_of(mail: Mail) -> tuple[str, int] | None:
    """The tick that wrote it: whose, and which. None where it came from outside, or from the runtime itself."""
    written = _OF_A_TICK.fullmatch(mail.id)
    return (written["cid"], int(written["rev"])) if written else None


def _digest(kind: str, cid: str, rev: int) -> bytes:
    return hashlib.sha256(f"{kind}\0{cid}\0{rev}".encode()).digest()
