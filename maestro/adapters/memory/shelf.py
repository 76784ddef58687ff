"""The field shelf and the sources' records in memory."""

from collections.abc import Sequence

from maestro.adapters.memory.state import Memory
from maestro.field.decay import merge_top
from maestro.field.entry import Entry
from maestro.field.project import Weighed
from maestro.ids import ContinuationId, TimeMs
from maestro.mesh.source import SourceRecord


class MemoryShelf:
    """maestro.field.shelf.Shelf in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def top(self, cid: ContinuationId, n: int, now_ms: TimeMs) -> Sequence[Weighed]:
        shelf = self._memory.of(cid).shelves.get(cid, {})
        tops = {
            half_life_ms: sorted(((item.rank_key, name) for name, item in items.items()), reverse=True)[:n]
            for half_life_ms, items in sorted(shelf.items())
        }
        entries = {name: item.entry for items in shelf.values() for name, item in items.items()}
        heaviest = merge_top(tops, n, now_ms)
        return [Weighed(Entry.model_validate_json(entries[name]), weight) for weight, name in heaviest]


class MemorySources:
    """maestro.mesh.source.SourceRecords in one process."""

    def __init__(self) -> None:
        self._records: dict[str, SourceRecord] = {}

    async def load(self, name: str) -> SourceRecord | None:
        return self._records.get(name)

    async def save(self, record: SourceRecord) -> None:
        self._records[record.name] = record

    async def list(self) -> Sequence[SourceRecord]:
        return [self._records[name] for name in sorted(self._records)]

    async def remove(self, name: str) -> bool:
        return self._records.pop(name, None) is not None
