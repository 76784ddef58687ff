"""Stores that lack one guard each: the store in memory with one method broken. The simulation must see it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from maestro.adapters.memory import waking
from maestro.adapters.memory.backend import backend_over
from maestro.adapters.memory.lists import Seen
from maestro.adapters.memory.loops import MemoryLeases, MemoryTimers
from maestro.adapters.memory.state import Memory
from maestro.adapters.memory.store import MemoryStore
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, Epoch, HolderId, Partition, Rev
from maestro.runtime.backend import Backend
from maestro.runtime.ports import Fired
from maestro.tick.linger import Linger
from maestro.tick.store import Batch, Commit, Committed, Delivered, JournalEntry

Build = Callable[[Memory], Backend]
NOBODY = HolderId("nobody")


class Unfenced(MemoryStore):
    """Whoever writes is taken for the holder: no epoch is compared."""

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        with self._let_in(commit.cid) as epoch:
            return await super().commit(replace(commit, epoch=epoch), adopt_next, linger)

    async def record(self, cid: ContinuationId, epoch: Epoch, entry: JournalEntry, batch: Batch) -> JournalEntry:
        with self._let_in(cid) as current:
            return await super().record(cid, current, entry, batch)

    async def release(
        self, cid: ContinuationId, epoch: Epoch, retry_in_ms: int, error: str | None, counts: bool
    ) -> None:
        with self._let_in(cid) as current:
            await super().release(cid, current, retry_in_ms, error, counts)

    @contextmanager
    def _let_in(self, cid: ContinuationId) -> Iterator[Epoch]:
        state, row = self._memory.find(cid)
        if row.tenure.holder is None:
            row.tenure.holder = NOBODY
            state.held[NOBODY][cid] = row
        yield row.tenure.epoch
        if row.tenure.holder == NOBODY:
            waking.let_go(state, row)


class Forgetful(Seen):
    """What was seen is new again."""

    def __contains__(self, key: tuple[str, str]) -> bool:
        return False


class Unreserved(MemoryStore):
    """Calls begin without a reservation."""

    async def record(self, cid: ContinuationId, epoch: Epoch, entry: JournalEntry, batch: Batch) -> JournalEntry:
        return await super().record(cid, epoch, replace(entry, price=BudgetVector({})), batch)


class Outboxless(MemoryStore):
    """What a commit sends is not kept with it: it is on its way only in the mind of the process that died."""

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        return await super().commit(replace(commit, outbox=()), adopt_next, linger)


class Deaf(MemoryStore):
    """Mail arrives, and some of it wakes nobody."""

    async def deliver(self, to: ContinuationId, mail: Mail) -> Delivered:
        state, row = self._memory.find(to)
        was_ready, told = to in state.ready[row.pool], await super().deliver(to, mail)
        if not was_ready and sum(mail.id.encode()) % 7 == 0:
            state.ready[row.pool].drop(to)
        return told


class Resigned(MemoryStore):
    """What failed and shall be tried again later is not."""

    async def release(
        self, cid: ContinuationId, epoch: Epoch, retry_in_ms: int, error: str | None, counts: bool
    ) -> None:
        await super().release(cid, epoch, retry_in_ms, error, counts)
        state, row = self._memory.find(cid)
        waking.drop_timer(state, row, waking.RETRY)


class Pitiless(MemoryLeases):
    """What a dead holder held stays with it."""

    async def reclaim(self, holder: HolderId, partition: Partition) -> int:
        self._memory.at(partition).leases.pop(holder, None)
        return 0


class Hasty(MemoryTimers):
    """Timers of the next ten seconds are due now."""

    async def fire(self, partition: Partition, limit: int = 256) -> Fired:
        state = self._memory.at(partition)
        while (first := state.timers.first()) and state.now() < first[0] <= state.now() + 10_000:
            state.timers.put(first[1], state.now())
        return await super().fire(partition, limit)


class Revisionless(MemoryStore):
    """Every commit is taken for the next one."""

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        _, row = self._memory.find(commit.cid)
        return await super().commit(replace(commit, rev=Rev(row.rev + 1)), adopt_next, linger)


class Generous(MemoryStore):
    """Whoever lacks no more than one has enough: the ledger takes what is reserved for one less."""

    async def record(self, cid: ContinuationId, epoch: Epoch, entry: JournalEntry, batch: Batch) -> JournalEntry:
        _, row = self._memory.find(cid)
        if row.ledger.free.short_of(entry.price) is None:
            return await super().record(cid, epoch, entry, batch)
        less = BudgetVector({name: max(0, amount - 1) for name, amount in entry.price.items()})
        await super().record(cid, epoch, replace(entry, price=less), batch)
        row.scratch.journal[entry.ordinal] = entry
        return entry


def _forgetful(memory: Memory) -> Backend:
    for state in memory.partitions:
        state.seen = Forgetful()
    return backend_over(memory)


def _stored_by(store: type[MemoryStore]) -> Build:
    return lambda memory: replace(backend_over(memory), store=store(memory))


WITHOUT: dict[str, tuple[Build, Sequence[str]]] = {
    "fencing": (_stored_by(Unfenced), ["I3"]),
    "dedupe": (_forgetful, ["I4", "twice", "came after"]),
    "reservation": (_stored_by(Unreserved), ["I7"]),
    "outbox": (_stored_by(Outboxless), ["I4"]),
    "wakes": (_stored_by(Deaf), ["I9"]),
    "retries": (_stored_by(Resigned), ["I9"]),
    "take-over": (lambda memory: replace(backend_over(memory), leases=Pitiless(memory)), ["I9", "I12"]),
    "due times": (lambda memory: replace(backend_over(memory), timers=Hasty(memory)), ["early"]),
}
"""What is switched off -> the build, and a word of each complaint by which it may be caught."""

BROKEN: dict[str, Build] = {
    **{guard: WITHOUT[guard][0] for guard in ("fencing", "dedupe", "reservation")},
    "revision": _stored_by(Revisionless),
    "budget, by one": _stored_by(Generous),
}
"""What random rules beside a dictionary must catch."""
