"""The one write that ends a tick, and the birth that is part of it.

Order: everything is checked first; from the first write on nothing can fail.
"""

from collections.abc import Sequence
from dataclasses import replace

from maestro.adapters.memory import lineage, mailbox, ties, waking
from maestro.adapters.memory.money import give_back, tell_charge, tell_crossings, total
from maestro.adapters.memory.state import PartitionState, Row, Unscored
from maestro.adapters.memory.waking import Posted
from maestro.budget import ledger as money
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.mail import BOUNDED
from maestro.errors import Fenced
from maestro.ids import ContinuationId, Epoch
from maestro.runtime.ports import PROJECT, RELAY, TIMERS
from maestro.tick.postscript import unended
from maestro.tick.store import Birth, Commit, Postscript, born_fact

Grant = tuple[Row, BudgetVector]
_REFUSALS = {Posted.TERMINAL: "already_terminal", Posted.FULL: "mailbox_full"}


def held(state: PartitionState, cid: ContinuationId, epoch: Epoch) -> Row:
    """The row of `cid`, which is in the hands of `epoch`.

    Raises:
        Fenced: it is not, or not any more; the attempt is counted.
    """
    row = state.rows.get(cid)
    if row is None or row.tenure.epoch != epoch or row.tenure.holder is None:
        raise fenced(state, cid, epoch)
    return row


def fenced(state: PartitionState, cid: ContinuationId, epoch: Epoch) -> Fenced:
    """A refused attempt, counted."""
    state.counts["fenced"] += 1
    row = state.rows.get(cid)
    return Fenced(cid, epoch, row.tenure.epoch if row else -1)


def is_repeat(row: Row, commit: Commit) -> bool:
    """True when this very commit has been written before."""
    return (commit.rev, commit.epoch) == (row.rev, row.tenure.commit_epoch)


def write(state: PartitionState, commit: Commit) -> None:
    """The tick is done, all of it or nothing.

    Raises:
        Fenced, BudgetExceededError: as maestro.tick.store.Store.commit says.
    """
    row = held(state, commit.cid, commit.epoch)
    if commit.rev != row.rev + 1:
        raise fenced(state, commit.cid, commit.epoch)
    grants = [(state.rows[cid], amount) for cid, amount in commit.grants if _living(state, cid)]
    paid = money.spend(row.ledger, commit.spend)
    lent = money.lend(paid, total([birth.grant for birth in commit.births] + [amount for _, amount in grants]))

    if commit.status in TERMINAL:
        lineage.check_end(state, row, commit)

    _advance(state, row, commit)
    _read(state, row, commit)
    row.ledger = lent
    if not commit.keep_journal or row.terminal:
        _close_journal(state, row)
    if commit.spend:
        tell_charge(state, row, commit.spend, rev=row.rev, outcome="spent")
    _set_watches(state, row, commit)
    _share(state, row, commit.births, grants)
    ties.tie(state, row, commit)
    _send(state, commit)
    _tell(state, commit)
    if row.terminal:
        _leave(state, row, commit)
        _end(state, row)
    else:
        waking.look(state, row)
    heirs = [] if commit.heir is None else [state.rows[commit.heir.cid]]
    tell_crossings(state, row, *(living for living, _ in grants), *heirs)


def write_postscript(state: PartitionState, row: Row, postscript: Postscript) -> bool:
    """The log of one that has ended has one record more; False where another was first.

    Raises:
        ContinuationStateError: it has not ended.
    """
    if not row.terminal:
        raise unended(row.cid)
    if postscript.rev != row.rev + 1:
        return False
    row.rev, row.checkpoint = postscript.rev, postscript.checkpoint
    row.log.append((state.now(), postscript.record))
    state.feed.extend(postscript.facts)
    return True


def birth(state: PartitionState, birth: Birth, parent: ContinuationId | None) -> None:
    """The continuation exists, owns its grant, and is ready for its start mail."""
    row = Row(
        cid=birth.cid,
        pool=birth.pool,
        name=birth.name,
        parent=parent,
        checkpoint=birth.checkpoint,
        ledger=money.grant(Ledger(), birth.grant),
        log=[(state.now(), birth.record)],
    )
    state.rows[birth.cid] = row
    if birth.name:
        state.names[birth.name] = birth.cid
    mother = state.rows.get(parent) if parent else None
    if mother is not None and mother.vigil.tree:
        row.vigil.frost, row.vigil.tree = mother.vigil.frost, True
    state.counts["created"] += 1
    state.counts[f"status:{row.status}"] += 1
    row.account = birth.account or (mother.account if mother is not None else None)
    state.fact(born_fact(replace(birth, account=row.account), parent))
    waking.put(state, row, birth.start)


def _living(state: PartitionState, cid: ContinuationId) -> bool:
    row = state.rows.get(cid)
    return row is not None and not row.terminal


def _advance(state: PartitionState, row: Row, commit: Commit) -> None:
    waking.let_go(state, row)
    row.rev, row.checkpoint = commit.rev, commit.checkpoint
    row.log.append((state.now(), commit.record))
    row.tenure.commit_epoch, row.tenure.tries, row.tenure.error = commit.epoch, 0, None
    state.counts["committed"] += 1
    state.counts[f"status:{row.status}"] -= 1
    state.counts[f"status:{commit.status}"] += 1
    row.status = commit.status


def _read(state: PartitionState, row: Row, commit: Commit) -> None:
    """What the tick consumed is gone, and it waits for what it now waits for."""
    mailbox.read(state, row, commit.mail_taken, commit.controls_taken)
    vigil = row.vigil
    vigil.wake_keys, vigil.join, vigil.hold, vigil.owed = commit.wake_keys, commit.join, commit.hold, False
    vigil.windows, vigil.wake_limits = dict(commit.windows), dict(commit.wake_limits)
    state.counts["event_applied"] += commit.events_taken


def _close_journal(state: PartitionState, row: Row) -> None:
    for call, price in row.ledger.reservations.items():
        tell_charge(state, row, price, rev=row.rev, call_id=call, outcome="unknown")
    row.ledger = money.charge_unknown(row.ledger)
    row.scratch.journal.clear()
    row.scratch.pieces.clear()
    row.scratch.batch = None


def _set_watches(state: PartitionState, row: Row, commit: Commit) -> None:
    """Timers and interests are as the tick left them."""
    for timer_id in commit.timers_cancelled:
        waking.drop_timer(state, row, timer_id)
    for timer_id, due_ms in commit.timers.items():
        first = state.timers.first()
        state.timers.put((row.cid, timer_id), due_ms)
        row.vigil.timers.add(timer_id)
        if first is None or due_ms < first[0]:
            state.signals.ring(TIMERS)
    for pattern, interest_id in commit.unsubscriptions:
        state.interests[pattern].pop((row.cid, interest_id), None)
        state.terms.pop((row.cid, interest_id), None)
        row.vigil.interests.discard((pattern, interest_id))
    for pattern, interest_id, relevance in commit.subscriptions:
        state.interests[pattern][row.cid, interest_id] = relevance
        if interest_id in commit.terms:
            state.terms[row.cid, interest_id] = commit.terms[interest_id]
        row.vigil.interests.add((pattern, interest_id))


def _share(state: PartitionState, row: Row, births: Sequence[Birth], grants: Sequence[Grant]) -> None:
    """Children have what their parent lent them."""
    for child in births:
        birth(state, child, row.cid)
    for living, amount in grants:
        living.ledger = money.grant(living.ledger, amount)


def _send(state: PartitionState, commit: Commit) -> None:
    """What leaves the continuation is on its way."""
    for to, mail in commit.family_mail:
        receiver = state.rows.get(to)
        refusal = _REFUSALS.get(waking.post(state, receiver, mail)) if receiver else "not_found"
        if refusal is not None and mail.kind in BOUNDED:
            state.bury(refusal, to, mail.kind, mail.id, mail.model_dump_json().encode())
    for outgoing in commit.outbox:
        state.outbox.add(outgoing)
    if commit.outbox:
        state.signals.ring(RELAY)
    for whose, payload in commit.projections:
        told = state.counts["published"] + 1
        state.projections.add(Unscored(whose, "finding", None, None, payload, told, state.now()))
    if commit.projections:
        state.signals.ring(PROJECT)


def _tell(state: PartitionState, commit: Commit) -> None:
    """What people see is up to date."""
    state.findings[commit.root].extend(commit.findings)
    state.feed.extend(commit.facts)
    if commit.waiting_on_person is None:
        state.waiting.pop(commit.cid, None)
    else:
        state.waiting[commit.cid] = commit.waiting_on_person


def _leave(state: PartitionState, row: Row, commit: Commit) -> None:
    """Whoever goes on without it has what it left, and knows."""
    for orphan in commit.orphans:
        lineage.release_child(state, row, orphan)
    if commit.heir is not None:
        lineage.inherit(state, row, commit)
    if commit.told is not None and row.parent is not None:
        waking.post(state, state.rows[row.parent], commit.told)
    if commit.last_word is not None:
        ties.tell_watchers(state, row, commit.last_word)


def _end(state: PartitionState, row: Row) -> None:
    """Nothing waits for it or wakes it any more; its name is free and its free money its parent's."""
    assert row.status in TERMINAL  # noqa: S101 - the caller's case
    for timer_id in tuple(row.vigil.timers):
        waking.drop_timer(state, row, timer_id)
    for pattern, interest_id in row.vigil.interests:
        state.interests[pattern].pop((row.cid, interest_id), None)
        state.terms.pop((row.cid, interest_id), None)
    row.vigil.interests.clear()
    mailbox.close(state, row)
    state.ready[row.pool].drop(row.cid)
    state.waiting.pop(row.cid, None)
    if row.name and state.names.get(row.name) == row.cid:
        del state.names[row.name]
    give_back(state, row)
