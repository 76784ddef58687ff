"""The reading side of the store in memory."""

from collections.abc import Mapping, Sequence, Sized
from itertools import islice

from maestro.adapters.memory.state import Memory
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.tick.records import Fact, Glance, Living


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
            ready_since_ms=_since(state.ready[row.pool].time_of(cid)),
            frost=row.vigil.frost or state.brake,
            parent=row.parent,
            moved_to=None if row.gone is None else row.gone.to,
            moved_by=None if row.gone is None else row.gone.export_id,
            account=row.account,
            wake_keys=row.vigil.wake_keys,
            unread=len(row.mail) + len(row.controls),
            error=row.tenure.error,
            frozen=row.vigil.frost is not None,
            ledger=row.ledger,
            hold=row.vigil.hold,
            pin=row.pin,
        )

    async def ids(self, partition: Partition) -> Sequence[ContinuationId]:
        return list(self._memory.at(partition).rows)

    async def living(self, partition: Partition, first: int, limit: int = 500) -> Living:
        stretch = list(islice(self._memory.at(partition).rows.values(), first, first + limit))
        living = [row for row in stretch if not row.terminal]
        held = (row.cid for row in living if row.vigil.hold is not None)
        return Living(len(stretch), tuple((row.cid, row.checkpoint) for row in living), frozenset(held))

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

    async def span(self, partition: Partition) -> tuple[str, str]:
        kept = len(self._memory.at(partition).feed)
        return ("1-0", f"{kept}-0") if kept else ("0-0", "0-0")

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
            counts[f"ready_age_ms:{pool}"] = state.now() - abs(first[0]) if first else 0
        counts |= state.room | {f"held:{holder}": len(rows) for holder, rows in state.held.items() if rows}
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
        awake = sum(len(state.held.get(holder, ())) for holder in state.leases)
        now_ms = state.clock.read()
        return counts | {name: len(items) for name, items in depths.items()} | {"awake": awake, "now_ms": now_ms}


def _since(time_ms: TimeMs | None) -> TimeMs | None:
    """The time in an agenda, in which some stand before all others by a negated one."""
    return None if time_ms is None else TimeMs(abs(time_ms))
