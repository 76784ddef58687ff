"""The field shelf and the sources' records in memory."""

from collections.abc import Sequence
from itertools import islice

from maestro.adapters.memory.state import Memory, PartitionState, Shelved
from maestro.field.decay import merge_top
from maestro.field.entry import Entry
from maestro.field.project import Weighed
from maestro.field.shelf import Mark
from maestro.ids import ContinuationId, EntryId, TimeMs
from maestro.mesh.source import SourceRecord
from maestro.runtime.ports import GATHER, Reranked, Waiting

SHELF_LIMIT = 1_000  # entries of one half-life; beyond it the lowest goes, which has faded furthest
DEGRADED = b'"degraded":true'  # no text can look like the mark: in one, the quotes are escaped


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

    async def mark(self, cid: ContinuationId) -> Mark:
        state = self._memory.of(cid)
        told = state.counts["published"]
        looked = None if state.gatherer is None else state.looked.get(cid, (0, ""))[0]
        for _, oldest in state.projections.oldest(1):
            waited_ms = max(0, state.clock.read() - oldest.at_ms)
            return Mark(told, min(told, oldest.told - 1), len(state.projections), waited_ms, looked)
        return Mark(told, told, looked=looked)

    async def ask(self, cid: ContinuationId) -> None:
        state = self._memory.of(cid)
        state.check_open()
        state.asked[cid] = state.counts["published"]
        state.signals.ring(GATHER)


def put(state: PartitionState, cid: ContinuationId, half_life_ms: int, name: EntryId, item: Shelved) -> None:
    """The entry is in the set of its half-life, and the lowest is not where there were too many."""
    shelf = state.shelves.setdefault(cid, {}).setdefault(half_life_ms, {})
    shelf[name] = item
    note_degraded(state, cid, half_life_ms, name, item)
    if len(shelf) > SHELF_LIMIT:
        del shelf[min(shelf, key=lambda each: (shelf[each].rank_key, each))]


def note_degraded(state: PartitionState, cid: ContinuationId, half_life_ms: int, name: EntryId, item: Shelved) -> None:
    """It waits for the engine, if it was ranked while that was away."""
    if DEGRADED in item.entry:
        state.degraded.setdefault((cid, half_life_ms, name))
    else:
        state.degraded.pop((cid, half_life_ms, name), None)


def degraded(state: PartitionState, limit: int) -> list[Waiting]:
    """The oldest entries that wait for the engine; those that have left their field wait no more."""
    waiting = []
    for place in list(islice(state.degraded, limit)):
        cid, half_life_ms, _ = place
        item, row = _found(state, *place), state.rows.get(cid)
        if item is None or row is None or row.terminal:
            del state.degraded[place]
        else:
            waiting.append(Waiting(cid, half_life_ms, item.entry))
    return waiting


def rerank(state: PartitionState, ranked: Sequence[Reranked]) -> int:
    """These have their new rank, where they have not changed meanwhile; returns how many."""
    state.check_open()
    count = 0
    for row in ranked:
        of, name = row.waiting, EntryId(row.entry_id)
        item = _found(state, of.cid, of.half_life_ms, name)
        if item is not None and item.entry == of.entry:
            put(state, of.cid, of.half_life_ms, name, Shelved(row.rank_key, row.entry))
            count += 1
    return count


def _found(state: PartitionState, cid: ContinuationId, half_life_ms: int, name: EntryId) -> Shelved | None:
    return state.shelves.get(cid, {}).get(half_life_ms, {}).get(name)


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
