"""The port ArtifactRoom in memory."""

from collections import defaultdict
from dataclasses import dataclass, field

from maestro.adapters.memory.money import root_of
from maestro.adapters.memory.state import Memory, PartitionState
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.tools.room import LOOKED_MS, SPARED_MS, Room, RoomLimits, RoomUse


@dataclass(slots=True)
class _Book:
    """Content -> its bytes, and when room was asked for it."""

    counted: dict[str, tuple[int, TimeMs]] = field(default_factory=dict)
    looked_ms: int = -LOOKED_MS

    @property
    def total(self) -> int:
        return sum(size for size, _ in self.counted.values())

    def free(self, state: PartitionState) -> None:
        """What was swept is let go of."""
        now_ms = state.now()
        if self.looked_ms + LOOKED_MS > now_ms:
            return
        self.looked_ms = now_ms
        gone = [
            name
            for name, (_, since_ms) in self.counted.items()
            if since_ms + SPARED_MS < now_ms and name not in state.blocks
        ]
        for name in gone:
            del self.counted[name]


class MemoryArtifactRoom:
    """maestro.tools.room.ArtifactRoom in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._books: defaultdict[str, _Book] = defaultdict(_Book)

    async def take(
        self, cid: ContinuationId, name: str, size_bytes: int, limits: RoomLimits, anyhow: bool = False
    ) -> Room:
        state, row = self._memory.find(cid)
        state.check_open()
        share = limits.tenant_bytes // len(self._memory.partitions)
        books = (self._books[root_of(state, row).cid], self._books[f"partition {self._memory.partitions.index(state)}"])
        for book, limit in zip(books, (limits.family_bytes, share), strict=True):
            if name in book.counted or anyhow:
                continue
            if book.total + size_bytes > limit:
                book.free(state)
            if book.total + size_bytes > limit:
                return Room(granted=False, family_bytes=books[0].total, partition_bytes=books[1].total)
        for book in books:
            book.counted.setdefault(name, (size_bytes, state.now()))
        return Room(granted=True, family_bytes=books[0].total, partition_bytes=books[1].total)

    async def used(self, partition: Partition) -> RoomUse:
        book = self._books[f"partition {partition}"]
        return RoomUse(book.total, len(book.counted))
