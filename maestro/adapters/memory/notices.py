"""The port Notices in memory."""

from collections.abc import Sequence

from maestro.adapters.memory.state import Memory
from maestro.ids import Partition
from maestro.pager.notices import LocalNotices, Notice


class MemoryNotices:
    """maestro.pager.notices.Notices in memory, on the store's clock."""

    def __init__(self, memory: Memory) -> None:
        self._first = memory.at(Partition(0))
        self._cooling = LocalNotices(self._first.now)

    async def read(self, targets: Sequence[str]) -> Notice:
        return Notice(self._first.brake is not None, (await self._cooling.read(targets)).left_ms)

    async def cool(self, target: str, span_ms: int) -> None:
        await self._cooling.cool(target, span_ms)
