"""maestro.runtime.ports.Gatherings in memory: an event's position is its number among all that were told."""

from collections.abc import Mapping, Sequence
from itertools import islice

from maestro.adapters.memory import shelf
from maestro.adapters.memory.graph import MemoryGraph
from maestro.adapters.memory.state import Memory, PartitionState, Shelved
from maestro.field.graph import Graph
from maestro.ids import ContinuationId, EntryId, Partition
from maestro.runtime.ports import Asked, Shelve
from maestro.tick.records import Fact


class MemoryGatherings:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.graph: Graph = MemoryGraph(memory)

    async def log(self, partition: Partition, after: str, limit: int = 256) -> Sequence[Fact]:
        state = self._memory.at(partition)
        first = _oldest(state)
        start = max(_number(after) + 1, first) - first
        bodies = islice(state.events, start, start + limit)
        return [Fact(f"{number}-0", body) for number, body in enumerate(bodies, start=first + start)]

    async def texts(self, partition: Partition, positions: Sequence[str]) -> Mapping[str, bytes]:
        state = self._memory.at(partition)
        places = {position: _number(position) - _oldest(state) for position in positions}
        return {name: state.events[place] for name, place in places.items() if 0 <= place < len(state.events)}

    async def asked(self, partition: Partition, limit: int = 64) -> Sequence[Asked]:
        state = self._memory.at(partition)
        told = state.counts["published"]
        return [Asked(cid, told, state.looked.get(cid, (0, ""))[1]) for cid in islice(state.asked, limit)]

    async def held(self, cid: ContinuationId, ids: Sequence[EntryId]) -> frozenset[EntryId]:
        shelves = self._memory.of(cid).shelves.get(cid, {}).values()
        return frozenset(name for name in ids if any(name in items for items in shelves))

    async def gathered(self, asked: Asked, kept: str, entries: Sequence[Shelve]) -> int:
        state = self._memory.of(asked.cid)
        state.check_open()
        row = state.rows.get(asked.cid)
        if row is None or row.terminal:
            state.asked.pop(asked.cid, None)
            state.looked.pop(asked.cid, None)
            return 0
        if state.asked.get(asked.cid, asked.told) <= asked.told:
            state.asked.pop(asked.cid, None)
        state.looked[asked.cid] = (asked.told, kept)
        known = {name for items in state.shelves.get(asked.cid, {}).values() for name in items}
        new = [item for item in entries if item.entry_id not in known]
        for item in new:
            shelved = Shelved(item.rank_key, item.entry)
            shelf.put(state, asked.cid, item.half_life_ms, EntryId(item.entry_id), shelved)
        return len(new)

    async def open(self, told: str) -> None:
        for state in self._memory.partitions:
            state.gatherer = told

    async def told(self) -> str | None:
        return self._memory.partitions[0].gatherer

    async def close(self) -> None:
        for state in self._memory.partitions:
            state.gatherer = None
            state.asked.clear()


def _oldest(state: PartitionState) -> int:
    """The number of the oldest event that is kept."""
    return state.counts["published"] - len(state.events) + 1


def _number(position: str) -> int:
    return int(position.partition("-")[0] or 0)
