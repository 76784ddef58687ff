"""Who is ready: mail comes in, readiness follows.

Invariants: what is held, terminal or frozen is never ready; a child's end is counted off the join once, when it comes.
"""

from enum import StrEnum

from maestro.adapters.memory import mailbox
from maestro.adapters.memory.nodes import unpin
from maestro.adapters.memory.state import PartitionState, Row
from maestro.continuation.lifecycle import WANTS_CODE
from maestro.continuation.mail import Control, Kind, Mail, in_lanes, wakes
from maestro.continuation.wait import BUDGET_KEY, TTL_TIMER
from maestro.ids import ContinuationId, Epoch, HolderId, TimeMs
from maestro.runtime.ports import TIMERS, ready_signal
from maestro.tick.linger import own_name
from maestro.tick.store import Adopted

DAY_MS = 86_400_000
RETRY = "!retry"
"""The timer that ends a back-off; it brings no mail."""
WINDOW = "!window"
"""The timer that ends the collecting of events."""
SILENT = frozenset({RETRY, WINDOW, TTL_TIMER})
"""Timers of the store itself: they make ready, and bring no mail."""


class Posted(StrEnum):
    OK = "ok"
    DUPLICATE = "duplicate"
    TERMINAL = "terminal"
    EXPIRED = "expired"
    FULL = "full"


def post(state: PartitionState, row: Row, mail: Mail, *, carried: bool = False) -> Posted:
    """The mail is in the mailbox unless it was before, its owner is done, or there is no room for its kind.

    Args:
        carried: not sent in this very step, which happens once, but brought from elsewhere, perhaps again and again.
    """
    if mailbox.is_known(state, row, mail, carried):
        return Posted.DUPLICATE
    if row.terminal:
        return Posted.TERMINAL
    late, old = mail.has_expired(state.now()), mailbox.superseded(row, mail)
    if not late and old is None and not mailbox.has_room(state, row, mail):
        return Posted.FULL
    mailbox.remember(state, row, mail)
    if carried:
        mailbox.remember_sender(row, mail)
    if late:
        state.counts.update(mail_delivered=1, mail_expired=1)
        mailbox.bury(state, row, mail, "expired")
        return Posted.EXPIRED
    if old is not None:
        mailbox.take_out(state, row, old, "mail_superseded")
    put(state, row, mail)
    return Posted.OK


def put(state: PartitionState, row: Row, mail: Mail) -> None:
    """The mail is in the mailbox, whether or not one with its id was, and wakes whom it wakes."""
    mailbox.add(state, row, mail)
    count_join(row, mail)
    if rouses(row, mail):
        rouse(state, row, window_of(row, mail))


def tell_granted(state: PartitionState, row: Row, mail: Mail) -> None:
    """There is more money: whoever waits for some is told, and so is a tick under way, that may be about to."""
    if not row.terminal and (BUDGET_KEY in row.vigil.wake_keys or row.tenure.holder is not None):
        put(state, row, mail)


def window_of(row: Row, mail: Mail) -> int:
    """How long (ms) it may wait for others of its interest."""
    return row.vigil.windows.get(mail.correlation or "", 0) if mail.kind is Kind.EVENT else 0


def may_wake(state: PartitionState, row: Row, interest_id: str) -> bool:
    """True when an event of this interest may wake it, today; counted where it does.

    What comes while it is about to wake anyway wakes nobody.
    """
    limit = row.vigil.wake_limits.get(interest_id)
    soon = row.cid in state.ready[row.pool] or state.timers.time_of((row.cid, WINDOW)) is not None
    if limit is None or soon:
        return True
    today = state.now() // DAY_MS
    day, used = row.vigil.wakes.get(interest_id, (today, 0))
    used = used if day == today else 0
    if used >= limit:
        return False
    row.vigil.wakes[interest_id] = (today, used + 1)
    return True


def rouse(state: PartitionState, row: Row, window_ms: int) -> None:
    """It is ready: at once, or when the window that its first event opened is over."""
    if window_ms == 0:
        make_ready(state, row)
    elif state.timers.time_of((row.cid, WINDOW)) is None:
        first = state.timers.first()
        due_ms = TimeMs(state.now() + window_ms)
        state.timers.put((row.cid, WINDOW), due_ms)
        row.vigil.timers.add(WINDOW)
        if first is None or due_ms < first[0]:
            state.signals.ring(TIMERS)


def close_window(state: PartitionState, row: Row) -> None:
    """Its window is over: it is ready if what came meanwhile still ends the wait."""
    if any(rouses(row, mail) for mail in row.mail):
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
    for mail in mailbox.fresh(state, row, len(row.mail)):
        count_join(row, mail)
    if row.controls:
        return make_ready(state, row)
    windows = [window_of(row, mail) for mail in row.mail if mail.kind is not Kind.START and rouses(row, mail)]
    if windows:
        rouse(state, row, min(windows))
    return None


def make_ready(state: PartitionState, row: Row) -> None:
    """It stands in the ready list of its pool, at the time it first got there; a frozen one will when it is thawed.

    A kill waits for no thaw: who is to be killed stands before all others, at its time negated.
    """
    if row.terminal or row.tenure.holder is not None:
        return
    ready = state.ready[row.pool]
    if (row.vigil.frost or state.brake) and row.is_ordered(Control.KILL):
        ready.put(row.cid, TimeMs(-state.now()))
    elif row.vigil.frost:
        row.vigil.owed = True
        return
    elif row.cid not in ready:
        ready.put(row.cid, state.now())
    else:
        return
    state.signals.ring(ready_signal(_whom(state, row)))


def _whom(state: PartitionState, row: Row) -> str:
    """Whom to rouse: who held it last, while that one listens to its own name; else anybody of the pool."""
    last = own_name(row.tenure.last_holder) if row.tenure.last_holder else ""
    until_ms, pool = state.homes.get(last, (TimeMs(0), ""))
    return last if until_ms > state.now() and pool == row.pool else row.pool


def adopt(
    state: PartitionState, pool: str, holder: HolderId, lease_ms: int, only: ContinuationId | None = None
) -> Adopted | None:
    """The longest ready of `pool` is in the hands of `holder`, under a fresh epoch and a lease that runs from now."""
    first = state.ready[pool].first() if only is None else _place_of(state, pool, only)
    if first is None or (state.brake and first[0] >= 0):
        return None
    ready_since_ms, cid = first
    state.ready[pool].drop(cid)
    row, now_ms = state.rows[cid], state.now()
    tenure = row.tenure
    tenure.epoch = Epoch(state.next_epoch(tenure.epoch))
    tenure.tries += 1
    tenure.controls_seen = len(row.controls)
    state.held[holder][cid] = row
    state.leases[holder] = TimeMs(now_ms + lease_ms)
    if row.vigil.hold in WANTS_CODE:
        row.vigil.hold = None
    drop_timer(state, row, RETRY)
    drop_timer(state, row, WINDOW)
    mail = mailbox.mail_for(state, row)
    tenure.holder, tenure.last_holder, tenure.mail_seen = holder, holder, len(mail)
    state.counts["adopted"] += 1
    if row.pin is not None and not row.pin.stays and pool != row.pin.home:
        unpin(state, row)
    return Adopted(
        cid=cid,
        epoch=tenure.epoch,
        rev=row.rev,
        tries=tenure.tries,
        checkpoint=row.checkpoint,
        wake_keys=row.vigil.wake_keys,
        controls=in_lanes(row.controls),
        mail=mail,
        batch=row.scratch.batch,
        journal=dict(row.scratch.journal),
        ledger=row.ledger,
        now_ms=now_ms,
        ready_since_ms=TimeMs(abs(ready_since_ms)),
        last_error=tenure.error,
        parent=row.parent,
    )


def _place_of(state: PartitionState, pool: str, cid: ContinuationId) -> tuple[TimeMs, ContinuationId] | None:
    at_ms = state.ready[pool].time_of(cid)
    return None if at_ms is None else (at_ms, cid)


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
