"""The port Pieces in memory: beside the journal of the tick in flight, and gone with what it tells of."""

from collections.abc import Sequence

from maestro.adapters.memory.state import Memory, Row
from maestro.adapters.memory.telling import Telling
from maestro.ids import CallId, ContinuationId
from maestro.pager.pieces import Kept, Writing


class MemoryPieces:
    """maestro.pager.pieces.Pieces in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def begin(self, writing: Writing, because: str) -> int:
        row = self._row_of_open(writing)
        if row is None:
            return 0
        telling = row.scratch.pieces.setdefault(writing.call_id, Telling())
        telling.edition += 1
        spoken, telling.chars = telling.chars > 0, 0
        if spoken:
            telling.put("", because)
        return telling.edition

    async def add(self, writing: Writing, edition: int, texts: Sequence[str]) -> bool:
        row = self._row_of_open(writing)
        telling = None if row is None else row.scratch.pieces.get(writing.call_id)
        if telling is None or telling.edition != edition:
            return False
        for text in texts:
            telling.put(text)
        telling.trim()
        return True

    async def read(self, cid: ContinuationId, call_id: CallId, after: int = 0, limit: int = 256) -> Sequence[Kept]:
        row = self._memory.of(cid).rows.get(cid)
        telling = None if row is None else row.scratch.pieces.get(call_id)
        return [] if telling is None else [kept for kept in telling.kept if kept.number > after][:limit]

    def _row_of_open(self, writing: Writing) -> Row | None:
        """Whose call it is, while it has no answer."""
        state = self._memory.of(writing.cid)
        state.check_open()
        row = state.rows.get(writing.cid)
        if row is None or row.gone is not None:
            return None
        entry = row.scratch.journal.get(writing.ordinal)
        if entry is None or entry.call_id != writing.call_id or entry.answered or entry.failed:
            return None
        return row
