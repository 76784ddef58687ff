"""maestro.tick.blocks in memory."""

from collections.abc import Mapping, Sequence

from maestro.adapters.memory.state import Memory
from maestro.ids import ContinuationId, Partition, TimeMs


class MemoryBlocks:
    """maestro.tick.blocks.Blocks in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def put(self, cid: ContinuationId, blocks: Mapping[str, bytes]) -> None:
        state = self._memory.of(cid)
        for name, body in blocks.items():
            kept, _ = state.blocks.get(name, (body, None))
            state.blocks[name] = kept, state.now()

    async def get(self, cid: ContinuationId, names: Sequence[str]) -> Mapping[str, bytes]:
        kept = self._memory.of(cid).blocks
        return {name: kept[name][0] for name in names if name in kept}

    async def names(self, partition: Partition, before_ms: TimeMs) -> Sequence[str]:
        kept = self._memory.at(partition).blocks
        return sorted(name for name, (_, put_ms) in kept.items() if put_ms < before_ms)

    async def drop(self, partition: Partition, names: Sequence[str], before_ms: TimeMs) -> int:
        kept = self._memory.at(partition).blocks
        old = [name for name in names if name in kept and kept[name][1] < before_ms]
        for name in old:
            del kept[name]
        return len(old)
