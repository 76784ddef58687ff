"""The port ToolRecords in memory."""

from dataclasses import dataclass

from maestro.adapters.memory.state import Memory, PartitionState
from maestro.ids import Partition, TimeMs, home_partition
from maestro.tools.calls import Look
from maestro.tools.spec import DAY_MS


@dataclass(slots=True)
class _Slot:
    """A result, or the claim to fetch it."""

    until_ms: TimeMs
    holder: str
    value: bytes | None = None


class MemoryToolRecords:
    """maestro.tools.calls.ToolRecords in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._slots: dict[str, _Slot] = {}
        self._uses: dict[tuple[str, int], set[str]] = {}

    async def look(self, key: str, holder: str, lease_ms: int, waited: bool = False) -> Look:
        home = self._home(key)
        slot, now_ms = self._slots.get(key), home.now()
        if slot is not None and slot.until_ms > now_ms and slot.holder != holder:
            if slot.value is None:
                return Look("busy")
            home.counts["tool_cache_shared" if waited else "tool_cache_hits"] += 1
            return Look("hit", slot.value)
        if slot is not None and slot.until_ms > now_ms and slot.value is not None:
            return Look("hit", slot.value)
        self._slots[key] = _Slot(TimeMs(now_ms + lease_ms), holder)
        home.counts["tool_cache_misses"] += 1
        return Look("mine")

    async def keep(self, key: str, holder: str, value: bytes, ttl_ms: int) -> None:
        slot, now_ms = self._slots.get(key), self._home(key).now()
        if slot is not None and slot.holder == holder:
            self._slots[key] = _Slot(TimeMs(now_ms + ttl_ms), holder, value)

    async def let_go(self, key: str, holder: str) -> None:
        slot = self._slots.get(key)
        if slot is not None and slot.holder == holder and slot.value is None:
            del self._slots[key]

    async def take(self, tool: str, call_id: str, limit: int) -> bool:
        day = self._home(tool).now() // DAY_MS
        used = self._uses.setdefault((tool, day), set())
        if call_id not in used and len(used) >= limit:
            return False
        used.add(call_id)
        return True

    def _home(self, key: str) -> PartitionState:
        return self._memory.at(Partition(home_partition(key, len(self._memory.partitions))))
