"""The reading side of the store in memory, and the writes of people."""

from collections.abc import Mapping, Sequence, Sized
from itertools import islice

from maestro.adapters.memory import commit as commits
from maestro.adapters.memory import money, waking
from maestro.adapters.memory.state import Memory
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.mail import Control, Kind, Mail
from maestro.continuation.wait import BUDGET_KEY
from maestro.errors import ContinuationAlreadyTerminalError, InvalidInput
from maestro.ids import ContinuationId, MailId, Partition, TimeMs
from maestro.runtime.ports import TIMERS
from maestro.tick.records import Fact, Glance
from maestro.tick.store import Birth


class MemoryRecords:
    """maestro.tick.records.Records in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def glance(self, cid: ContinuationId) -> Glance | None:
        state = self._memory.of(cid)
        row = state.rows.get(cid)
        if row is None:
            return None
        return Glance(
            cid=cid,
            checkpoint=row.checkpoint,
            epoch=row.tenure.epoch,
            rev=row.rev,
            tries=row.tenure.tries,
            holder=row.tenure.holder,
            ready_since_ms=state.ready[row.pool].time_of(cid),
            wake_keys=row.vigil.wake_keys,
            unread=len(row.mail) + len(row.controls),
            error=row.tenure.error,
            frozen=row.vigil.frozen,
            ledger=row.ledger,
        )

    async def ids(self, partition: Partition) -> Sequence[ContinuationId]:
        return list(self._memory.at(partition).rows)

    async def named(self, name: str) -> ContinuationId | None:
        return next((state.names[name] for state in self._memory.partitions if name in state.names), None)

    async def log(self, cid: ContinuationId, first: int = 0, last: int = -1) -> Sequence[tuple[TimeMs, bytes]]:
        _, row = self._memory.find(cid)
        length = len(row.log)
        start, end = (place + length if place < 0 else place for place in (first, last))
        return row.log[max(0, start) : max(0, end + 1)]

    async def findings(self, root: ContinuationId) -> Sequence[bytes]:
        return list(self._memory.of(root).findings.get(root, ()))

    async def waiting(self, partition: Partition) -> Mapping[ContinuationId, bytes]:
        return dict(self._memory.at(partition).waiting)

    async def feed(self, partition: Partition, after: str = "0-0", limit: int = 256) -> Sequence[Fact]:
        seen = int(after.partition("-")[0])
        facts = self._memory.at(partition).feed[seen : seen + limit]
        return [Fact(f"{position}-0", body) for position, body in enumerate(facts, start=seen + 1)]

    async def events(self, partition: Partition, limit: int = 100) -> Sequence[bytes]:
        return list(islice(reversed(self._memory.at(partition).events), limit))

    async def dead_letters(self, partition: Partition, limit: int = 100) -> Sequence[bytes]:
        return self._memory.at(partition).dead_letters[-limit:]

    async def counts(self, partition: Partition) -> Mapping[str, int]:
        state = self._memory.at(partition)
        counts = dict(state.counts)
        for pool, ready in state.ready.items():
            first = ready.first()
            counts[f"ready:{pool}"] = len(ready)
            counts[f"ready_age_ms:{pool}"] = state.now() - first[0] if first else 0
        depths: dict[str, Sized] = {
            "outbox": state.outbox,
            "projections": state.projections,
            "timers": state.timers,
            "leases": state.leases,
            "waiting": state.waiting,
            "dead_letters": state.dead_letters,
            "events": state.events,
            "continuations": state.rows,
        }
        return counts | {name: len(items) for name, items in depths.items()} | {"now_ms": state.now()}


class MemorySteering:
    """maestro.tick.records.Steering in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def rebudget(self, cid: ContinuationId, more: BudgetVector, less: BudgetVector, key: str) -> Ledger:
        state, row = self._memory.find(cid)
        once = ("rebudget", f"{cid} {key}")
        if once in state.seen:
            return row.ledger
        if row.terminal:
            raise ContinuationAlreadyTerminalError(f"{cid} is done ({row.status}): its budget is closed")
        money.rebudget(state, row, more, less)
        state.seen.add(once, state.now())
        # a tick under way may be about to wait for this very grant
        if more and (BUDGET_KEY in row.vigil.wake_keys or row.tenure.holder is not None):
            waking.put(state, row, _granted(more, key, state.now()))
        return row.ledger

    async def fork(self, source: ContinuationId, birth: Birth) -> bool:
        state, row = self._memory.find(source)
        if birth.cid in state.rows:
            return False
        money.move_out(state, row, birth.grant)
        commits.birth(state, birth, parent=None)
        return True

    async def freeze(self, cid: ContinuationId, frozen: bool) -> None:
        state, row = self._memory.find(cid)
        vigil, ready = row.vigil, state.ready[row.pool]
        if frozen and not vigil.frozen:
            vigil.frozen, vigil.owed = True, cid in ready
            ready.drop(cid)
        elif vigil.frozen and not frozen:
            vigil.frozen, owed, vigil.owed = False, vigil.owed, False
            if owed:
                waking.make_ready(state, row)

    async def advance(self, by_ms: int) -> TimeMs:
        clock = self._memory.at(Partition(0)).clock
        if not isinstance(clock, ManualClock):
            raise InvalidInput(
                "this store runs on the system clock",
                field="clock",
                hint="create a store with MAESTRO_CLOCK=virtual to move its time",
            )
        if by_ms < 0:
            raise InvalidInput(f"a clock cannot go back by {-by_ms} ms", field="by", hint="give a time such as 21d")
        now_ms = clock.advance(by_ms)
        self._memory.at(Partition(0)).signals.ring(TIMERS)
        return now_ms


def _granted(more: BudgetVector, key: str, now_ms: TimeMs) -> Mail:
    return Mail(
        id=MailId(f"granted:{key}"),
        kind=Kind.CONTROL,
        sender="budget",
        subject=Control.GRANTED,
        body=dict(more.items()),
        sent_ms=now_ms,
    )
