"""The port Placements in memory."""

from collections.abc import Sequence

from maestro.adapters.memory.state import Memory
from maestro.ids import CallId, ContinuationId, Partition, TimeMs, partition_of
from maestro.pager.placed import Placed, Taken
from maestro.runtime.ports import CALLS


class MemoryPlacements:
    """maestro.pager.placed.Placements in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._placed: list[dict[CallId, Placed]] = [{} for _ in memory.partitions]
        self._taken: list[set[CallId]] = [set() for _ in memory.partitions]

    async def place(self, placed: Placed) -> bool:
        known = self._placed[self._number(placed.cid)]
        there = placed.call_id in known
        known[placed.call_id] = placed
        if there:
            return False
        self._memory.of(placed.cid).signals.ring(CALLS)
        return True

    async def take(self, partition: Partition, limit: int, inherit: bool = False) -> Taken:
        now_ms, taken = self._memory.at(partition).now(), self._taken[partition]
        if inherit:
            taken.clear()
        waiting = [one for one in self._placed[partition].values() if one.call_id not in taken]
        waiting.sort(key=lambda one: (one.due_ms, one.call_id))
        calls = tuple([one for one in waiting if one.due_ms <= now_ms][:limit])
        taken.update(one.call_id for one in calls)
        left = waiting[len(calls) :]
        return Taken(calls, now_ms, TimeMs(left[0].due_ms) if left else None)

    async def done(self, placed: Sequence[Placed]) -> None:
        for one in placed:
            number = self._number(one.cid)
            self._placed[number].pop(one.call_id, None)
            self._taken[number].discard(one.call_id)

    def _number(self, cid: ContinuationId) -> int:
        self._memory.of(cid)
        return partition_of(cid)
