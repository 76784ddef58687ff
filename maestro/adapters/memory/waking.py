"""Who is ready: mail comes in, readiness follows.

Invariants: what is held, terminal or frozen is never ready; a child's end is counted off the join once, when it comes.
"""

from enum import StrEnum

from maestro.adapters.memory.state import PartitionState, Row
from maestro.continuation.mail import MAILBOX_LIMIT, Kind, Mail, wakes
from maestro.ids import Epoch, HolderId, TimeMs
from maestro.runtime.ports import ready_signal
from maestro.tick.store import Adopted

MAIL_READ_AT_ONCE = 1_000
RETRY = "!retry"
"""The timer that ends a back-off; it brings no mail."""
_BOUNDED = frozenset({Kind.EVENT, Kind.MESSAGE})  # the rest answers something asked for, and is bounded by the asking


class Posted(StrEnum):
    OK = "ok"
    DUPLICATE = "duplicate"
    TERMINAL = "terminal"
    FULL = "full"


def post(state: PartitionState, row: Row, mail: Mail) -> Posted:
    """The mail is in the mailbox unless it was before, its owner is done, or there is no room for its kind."""
    if (row.cid, mail.id) in state.seen:
        return Posted.DUPLICATE
    if row.terminal:
        return Posted.TERMINAL
    if mail.kind in _BOUNDED and len(row.mail) >= MAILBOX_LIMIT:
        return Posted.FULL
    state.seen.add((row.cid, mail.id), state.now())
    put(state, row, mail)
    return Posted.OK


def put(state: PartitionState, row: Row, mail: Mail) -> None:
    """The mail is in the mailbox, whether or not one with its id was, and wakes whom it wakes."""
    (row.controls if mail.kind is Kind.CONTROL else row.mail).append(mail)
    count_join(row, mail)
    if rouses(row, mail):
        make_ready(state, row)


def count_join(row: Row, mail: Mail) -> None:
    """One child less to wait for."""
    if mail.kind is Kind.CHILD and row.vigil.join > 0 and wakes(row.vigil.wake_keys, mail.wake_key):
        row.vigil.join -= 1


def rouses(row: Row, mail: Mail) -> bool:
    """True when `mail`, which is counted already, ends the wait."""
    if row.vigil.hold is not None and mail.kind is not Kind.CONTROL:
        return False
    return wakes(row.vigil.wake_keys, mail.wake_key) and not (mail.kind is Kind.CHILD and row.vigil.join > 0)


def look(state: PartitionState, row: Row) -> None:
    """Let go of by its holder, it is ready again if something that came meanwhile wakes it.

    A start mail that the tick left unread came before: it has woken already, once.
    """
    unread = (mail for mail in (*row.controls, *row.mail) if mail.kind is not Kind.START)
    if any(rouses(row, mail) for mail in unread):
        make_ready(state, row)


def make_ready(state: PartitionState, row: Row) -> None:
    """It stands in the ready list of its pool, at the time it first got there; a frozen one will when it is thawed."""
    if row.terminal or row.tenure.holder is not None:
        return
    if row.vigil.frozen:
        row.vigil.owed = True
        return
    ready = state.ready[row.pool]
    if row.cid not in ready:
        ready.put(row.cid, state.now())
        state.signals.ring(ready_signal(row.pool))


def adopt(state: PartitionState, pool: str, holder: HolderId, lease_ms: int) -> Adopted | None:
    """The longest ready of `pool` is in the hands of `holder`, under a fresh epoch and a lease that runs from now."""
    oldest = state.ready[pool].pop()
    if oldest is None:
        return None
    ready_since_ms, cid = oldest
    row, now_ms = state.rows[cid], state.now()
    tenure = row.tenure
    tenure.epoch = Epoch(tenure.epoch + 1)
    tenure.tries += 1
    tenure.holder, tenure.controls_seen = holder, len(row.controls)
    state.held[holder][cid] = row
    state.leases[holder] = TimeMs(now_ms + lease_ms)
    drop_timer(state, row, RETRY)
    state.counts["adopted"] += 1
    return Adopted(
        cid=cid,
        epoch=tenure.epoch,
        rev=row.rev,
        tries=tenure.tries,
        checkpoint=row.checkpoint,
        wake_keys=row.vigil.wake_keys,
        controls=tuple(row.controls),
        mail=_mail_for(row),
        batch=row.scratch.batch,
        journal=dict(row.scratch.journal),
        ledger=row.ledger,
        now_ms=now_ms,
        ready_since_ms=ready_since_ms,
        last_error=tenure.error,
    )


def _mail_for(row: Row) -> tuple[Mail, ...]:
    """The oldest MAIL_READ_AT_ONCE; all of it where what woke it, or its fixed batch, may lie behind them."""
    oldest = row.mail[:MAIL_READ_AT_ONCE]
    seen = row.scratch.batch is None and any(wakes(row.vigil.wake_keys, mail.wake_key) for mail in oldest)
    return tuple(oldest if seen or len(row.mail) <= MAIL_READ_AT_ONCE else row.mail)


def let_go(state: PartitionState, row: Row) -> None:
    """Nobody holds it."""
    if row.tenure.holder is not None:
        held = state.held[row.tenure.holder]
        del held[row.cid]
        if not held:
            del state.held[row.tenure.holder]
    row.tenure.holder = None


def drop_timer(state: PartitionState, row: Row, timer_id: str) -> None:
    state.timers.drop((row.cid, timer_id))
    row.vigil.timers.discard(timer_id)
