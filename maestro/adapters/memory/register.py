"""The port Register in memory."""

from collections import defaultdict
from collections.abc import Mapping

from maestro.adapters.memory.state import Memory
from maestro.ids import Partition, TimeMs


class MemoryRegister:
    """maestro.runtime.register.Register in memory."""

    def __init__(self, memory: Memory) -> None:
        self._first = memory.at(Partition(0))
        self._notes: defaultdict[str, dict[str, tuple[bytes, TimeMs | None]]] = defaultdict(dict)

    async def add(self, kind: str, name: str, note: bytes, until_ms: TimeMs | None = None) -> bytes | None:
        self._first.check_open()
        known = self._living(kind).get(name)
        if known is None:
            self._notes[kind][name] = (note, until_ms)
        return known

    async def put(self, kind: str, name: str, note: bytes, until_ms: TimeMs | None = None) -> None:
        self._first.check_open()
        self._notes[kind][name] = (note, until_ms)

    async def get(self, kind: str, name: str) -> bytes | None:
        return self._living(kind).get(name)

    async def take(self, kind: str, name: str) -> bytes | None:
        self._first.check_open()
        known = self._living(kind).get(name)
        self._notes[kind].pop(name, None)
        return known

    async def all(self, kind: str) -> Mapping[str, bytes]:
        return self._living(kind)

    def _living(self, kind: str) -> dict[str, bytes]:
        """What has not ended; what has, is forgotten."""
        at = self._first.clock.read()
        over = [name for name, (_, until) in self._notes[kind].items() if until is not None and until <= at]
        for name in over:
            del self._notes[kind][name]
        return {name: note for name, (note, _) in self._notes[kind].items()}
