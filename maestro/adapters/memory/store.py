"""maestro.tick.store in memory: what a tick asks of its store."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from maestro.adapters.memory import commit as commits
from maestro.adapters.memory import homes, mailbox, ties, waking
from maestro.adapters.memory.accounts import VOID
from maestro.adapters.memory.money import correct, tell_charge, tell_crossings
from maestro.adapters.memory.state import Memory, PartitionState, Row, ended
from maestro.adapters.memory.waking import RETRY, Posted
from maestro.budget import ledger as money
from maestro.budget.accounts import given_up
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import ENDING, Mail, mailbox_full
from maestro.errors import Conflict
from maestro.ids import CallId, ContinuationId, Epoch, HolderId, Partition, TimeMs, partition_of
from maestro.runtime.ports import TIMERS
from maestro.tick.journals import NOTHING_MORE, About
from maestro.tick.linger import Linger
from maestro.tick.steering import granted, order_fact
from maestro.tick.store import (
    Adopted,
    Batch,
    Birth,
    Commit,
    Committed,
    Delivered,
    Held,
    JournalEntry,
    Postscript,
    Renewal,
)
from maestro.tick.watches import Watch


class MemoryStore:
    """maestro.tick.store.Store in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def create(self, birth: Birth) -> bool:
        state = self._memory.of(birth.cid)
        state.check_open()
        if birth.cid in state.rows:
            return False
        if (VOID, birth.cid) in state.seen:
            raise given_up(birth.cid)
        owner = state.names.get(birth.name) if birth.name else None
        if owner and birth.supersedes:
            waking.post(state, state.rows[owner], birth.supersedes)
            state.fact(order_fact(owner, birth.supersedes))
        elif owner:
            raise Conflict(f"the name {birth.name!r} belongs to {owner}", field="name", hint="choose another name")
        commits.birth(state, birth, parent=None)
        return True

    async def deliver(self, to: ContinuationId, mail: Mail) -> Delivered:
        state, row = self._memory.find(to)
        state.check_open()
        match waking.post(state, row, mail, carried=True):
            case Posted.TERMINAL:
                raise ended(row)
            case Posted.FULL:
                raise mailbox_full(to, len(row.mail), row.mail_bytes)
            case posted:
                return Delivered(posted is Posted.DUPLICATE, posted is Posted.EXPIRED)

    async def watch(self, watch: Watch) -> bool:
        number = partition_of(watch.target)
        return number < len(self._memory.partitions) and ties.watch(self._memory.at(number), watch)

    async def unwatch(self, watch: Watch) -> None:
        if partition_of(watch.target) < len(self._memory.partitions):
            ties.unwatch(self._memory.of(watch.target), watch)

    async def adopt(
        self,
        pool: str,
        holder: HolderId,
        lease_ms: int,
        partition: Partition,
        only: ContinuationId | None = None,
        linger: Linger | None = None,
    ) -> Adopted | None:
        self._memory.at(partition).check_open()
        return homes.adopt(self._memory.at(partition), (pool, holder, lease_ms), linger, only)

    async def record(self, cid: ContinuationId, epoch: Epoch, entry: JournalEntry, batch: Batch) -> JournalEntry:
        self._memory.of(cid).check_open()
        row = commits.held(self._memory.of(cid), cid, epoch)
        known = row.scratch.journal.get(entry.ordinal)
        if known is not None and not known.failed:
            return known
        row.ledger = money.reserve(row.ledger, entry.call_id, entry.price)
        row.scratch.journal[entry.ordinal] = entry
        if row.scratch.batch is None:
            row.scratch.batch = batch
        return entry

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        state = self._memory.of(commit.cid)
        state.check_open()
        row = state.rows.get(commit.cid)
        duplicate = row is not None and commits.is_repeat(row, commit)
        if not duplicate:
            if adopt_next is not None:  # whoever commits looks itself: nobody else need be roused
                homes.settle_in(state, adopt_next[0], adopt_next[1], linger)
            commits.write(state, commit)
        following = homes.adopt(state, adopt_next, linger) if adopt_next else None
        return Committed(commit.rev, duplicate=duplicate, next=following)

    async def release(
        self, cid: ContinuationId, epoch: Epoch, retry_in_ms: int, error: str | None, counts: bool
    ) -> None:
        state = self._memory.of(cid)
        state.check_open()
        row = commits.held(state, cid, epoch)
        waking.let_go(state, row)
        row.tenure.error = error
        if not counts:
            row.tenure.tries -= 1
        row.scratch.journal = {n: entry for n, entry in row.scratch.journal.items() if not entry.failed}
        urgent = len(row.controls) > row.tenure.controls_seen
        if retry_in_ms <= 0 or urgent:
            waking.make_ready(state, row)
        else:
            state.timers.put((cid, RETRY), TimeMs(state.now() + retry_in_ms))
            row.vigil.timers.add(RETRY)
            state.signals.ring(TIMERS)

    async def postscript(self, postscript: Postscript) -> bool:
        state, row = self._memory.find(postscript.cid)
        state.check_open()
        return commits.write_postscript(state, row, postscript)

    async def hold(self, held: Held) -> None:
        state = self._memory.of(held.cid)
        state.check_open()
        row = commits.held(state, held.cid, held.epoch)
        waking.let_go(state, row)
        row.tenure.tries, row.tenure.error, row.vigil.hold = 0, held.reason, held.hold
        mailbox.read(state, row, (), held.controls_taken)
        if held.waiting_on_person is None:
            state.waiting.pop(held.cid, None)
        else:
            state.waiting[held.cid] = held.waiting_on_person
        state.feed.extend(held.facts)
        if row.controls:
            waking.make_ready(state, row)

    async def renew(self, holder: HolderId, lease_ms: int) -> Renewal:
        held: list[ContinuationId] = []
        urgent: list[ContinuationId] = []
        for state in self._memory.partitions:
            if holder not in state.held:
                state.leases.pop(holder, None)
                continue
            state.leases[holder] = TimeMs(state.now() + lease_ms)
            held += state.held[holder]
            urgent += [cid for cid, row in state.held[holder].items() if _is_urgent(row)]
        return Renewal(tuple(held), tuple(urgent))


class MemoryJournals:
    """maestro.tick.journals.Journals in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def settle(
        self,
        cid: ContinuationId,
        ordinal: int,
        call_id: CallId,
        answer: JsonValue,
        failed: bool,
        charge: BudgetVector,
        about: About = NOTHING_MORE,
    ) -> JournalEntry | None:
        state, row = self._memory.find(cid)
        if row.gone is not None:  # its journal left with it
            return None
        entry = row.scratch.journal.get(ordinal)
        if entry is not None and entry.call_id != call_id:
            entry = None
        if entry is not None and entry.answered:
            return entry
        if call_id in row.ledger.reservations:
            row.ledger = money.settle(row.ledger, call_id, charge)
            told = {"call_id": call_id, "ordinal": ordinal, "outcome": "failed" if failed else "answered"}
            tell_charge(state, row, charge, **about, **told)
            tell_crossings(state, row)
        else:
            _refund(state, row, call_id, charge, about)
        if entry is None:
            return None
        settled = replace(entry, answer=answer, answered=not failed, failed=failed, charge=charge)
        row.scratch.journal[ordinal] = settled
        row.scratch.pieces.pop(call_id, None)
        return settled

    async def refund(self, cid: ContinuationId, call_id: CallId, actual: BudgetVector) -> bool:
        state, row = self._memory.find(cid)
        if row.gone is not None:
            raise ended(row)
        return _refund(state, row, call_id, actual)

    async def answer_of(self, cid: ContinuationId, call_id: CallId) -> JournalEntry | None:
        return next((entry for entry in await self.entries(cid) if entry.call_id == call_id), None)

    async def entries(self, cid: ContinuationId) -> Sequence[JournalEntry]:
        _, row = self._memory.find(cid)
        return [row.scratch.journal[ordinal] for ordinal in sorted(row.scratch.journal)]


def _refund(
    state: PartitionState, row: Row, call_id: CallId, actual: BudgetVector, about: About = NOTHING_MORE
) -> bool:
    if not correct(state, row, call_id, actual, about):
        return False
    waking.tell_granted(state, row, granted(f"refund:{call_id}", BudgetVector({}), state.now()))
    tell_crossings(state, row)
    return True


def _is_urgent(row: Row) -> bool:
    """What it was adopted with is being carried out; the same once more is no news."""
    seen = row.tenure.controls_seen
    under_way = {mail.subject for mail in row.controls[:seen]}
    return any(mail.subject in ENDING and mail.subject not in under_way for mail in row.controls[seen:])
