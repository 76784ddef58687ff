"""What one mailbox holds: room, repetitions, what gives way, what is over.

Invariants: what a tick has in hand stays where it is, until its commit and over its repetitions; every mail that was
delivered is read, unread, expired, superseded or left over at the end of its owner, and counted as such.
What is not here: whom a mail wakes (waking).
"""

from collections.abc import Iterable

from maestro.adapters.memory.state import PartitionState, Row
from maestro.continuation.mail import (
    BOUNDED,
    DEDUPE_MS,
    MAIL_READ_AT_ONCE,
    MAILBOX_LIMIT,
    MAILBOX_LIMIT_BYTES,
    SENDERS_REMEMBERED,
    Kind,
    Lane,
    Mail,
    wakes,
)

LETTERS_OF_ONE = 1_000  # what is kept of a mailbox whose owner ended
UNWRITTEN = frozenset({Kind.START, Kind.TIMER, Kind.DOWN, Kind.EXIT})
"""Nobody misses it."""


def is_known(state: PartitionState, row: Row, mail: Mail, carried: bool) -> bool:
    """True when it came before: by its id; one carried so long that ids are forgotten, by its sender's number."""
    if (row.cid, mail.id) in state.seen:
        return True
    last = row.heard.get(mail.sender)
    if not carried or mail.sequence is None or last is None or mail.sent_ms >= state.now() - DEDUPE_MS:
        return False
    return mail.sequence <= last


def remember(state: PartitionState, row: Row, mail: Mail) -> None:
    """It will be known again, by its id."""
    state.seen.add((row.cid, mail.id), state.now())


def remember_sender(row: Row, mail: Mail) -> None:
    """It will be known again by its sender's number too, long after its id is forgotten."""
    if mail.sequence is None:
        return
    row.heard[mail.sender] = max(mail.sequence, row.heard.get(mail.sender, -1))
    if len(row.heard) > SENDERS_REMEMBERED:
        del row.heard[next(iter(row.heard))]


def has_room(state: PartitionState, row: Row, mail: Mail) -> bool:
    """True when it may come in, if need be after what has expired is out."""
    if mail.kind not in BOUNDED or _fits(row, mail):
        return True
    fresh(state, row, len(row.mail))
    return _fits(row, mail)


def _fits(row: Row, mail: Mail) -> bool:
    return len(row.mail) < MAILBOX_LIMIT and row.mail_bytes + size_of(mail) <= MAILBOX_LIMIT_BYTES


def add(state: PartitionState, row: Row, mail: Mail) -> None:
    """It is unread; orders lie in a list of their own."""
    if mail.is_order:
        row.controls.append(mail)
    else:
        row.mail.append(mail)
        row.mail_bytes += size_of(mail)
    state.counts["mail_delivered"] += 1


def superseded(row: Row, mail: Mail) -> Mail | None:
    """The unread mail, not in hand, that gives way to `mail`."""
    waiting = row.mail[_in_hand(row) :] if mail.tag else []
    return next((old for old in reversed(waiting) if old.tag == mail.tag), None)


def take_out(state: PartitionState, row: Row, mail: Mail, why: str) -> None:
    """It is gone unread, and counted."""
    row.mail.remove(mail)
    row.mail_bytes -= size_of(mail)
    state.counts[why] += 1


def fresh(state: PartitionState, row: Row, oldest: int) -> list[Mail]:
    """The oldest mails less those that have expired, which are dead letters now."""
    for place, mail in enumerate(row.mail[:oldest]):
        if mail.has_expired(state.now()) and place >= _in_hand(row):
            take_out(state, row, mail, "mail_expired")
            bury(state, row, mail, "expired")
            oldest -= 1
    return row.mail[:oldest]


def mail_for(state: PartitionState, row: Row) -> tuple[Mail, ...]:
    """What an adopter sees: the oldest; all where what woke it, its fixed batch, or what is read first lies behind."""
    oldest = fresh(state, row, MAIL_READ_AT_ONCE)
    if len(oldest) < MAIL_READ_AT_ONCE:
        return tuple(oldest)
    woken = row.scratch.batch is None and any(wakes(row.vigil.wake_keys, mail.wake_key) for mail in oldest)
    urgent = any(mail.lane < Lane.MAIL for mail in row.mail[MAIL_READ_AT_ONCE:])
    return tuple(oldest if woken and not urgent else fresh(state, row, len(row.mail)))


def read(state: PartitionState, row: Row, positions: Iterable[int], controls: int) -> None:
    """What a tick consumed is out, and counted."""
    taken = set(positions)
    row.mail = [mail for place, mail in enumerate(row.mail) if place not in taken]
    row.mail_bytes = sum(map(size_of, row.mail))
    del row.controls[:controls]
    state.counts["mail_read"] += len(taken) + controls


def close(state: PartitionState, row: Row) -> None:
    """Nobody will read it any more: what somebody wrote is kept, the newest of it, as dead letters."""
    state.counts["mail_ended"] += len(row.mail) + len(row.controls)
    too_many = row.mail[:-LETTERS_OF_ONE]  # to keep; counted all the same
    state.counts["event_dead"] += sum(mail.kind is Kind.EVENT for mail in too_many)
    for mail in row.mail[-LETTERS_OF_ONE:]:
        if mail.kind not in UNWRITTEN:
            bury(state, row, mail, "receiver_ended")
    row.mail, row.mail_bytes = [], 0
    row.controls.clear()
    row.heard.clear()


def bury(state: PartitionState, row: Row, mail: Mail, cause: str) -> None:
    state.bury(cause, row.cid, mail.kind, mail.id, mail.model_dump_json().encode())
    if mail.kind is Kind.EVENT:
        state.counts["event_expired" if cause == "expired" else "event_dead"] += 1


def size_of(mail: Mail) -> int:
    return len(mail.wake_key) + len(mail.model_dump_json())


def _in_hand(row: Row) -> int:
    """How many of the oldest a tick was begun with."""
    return row.tenure.mail_seen if row.tenure.holder is not None or row.scratch.batch is not None else 0
