"""The port AuditLog in memory."""

from collections.abc import Sequence

from maestro.adapters.memory.state import Memory
from maestro.ids import Partition, TimeMs
from maestro.runtime.audit import Tail


class MemoryAudit:
    """maestro.runtime.audit.AuditLog in memory."""

    def __init__(self, memory: Memory) -> None:
        self._first = memory.at(Partition(0))
        self._lines: list[bytes] = []

    async def tail(self) -> Tail:
        return Tail(len(self._lines), self._lines[-1] if self._lines else b"", TimeMs(self._first.now()))

    async def append(self, count: int, lines: Sequence[bytes]) -> bool:
        if count != len(self._lines):
            return False
        self._lines += lines
        return True

    async def read(self, first: int, limit: int) -> Sequence[bytes]:
        return self._lines[first : first + limit]
