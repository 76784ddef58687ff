"""The port Alarms in memory: alerts by their key, beside the feed that tells of them."""

from collections.abc import Sequence
from itertools import islice

from maestro.adapters.memory.state import Memory
from maestro.ids import Partition
from maestro.runtime.alarms import Alarm


class MemoryAlarms:
    """maestro.runtime.alarms.Alarms in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def waiting(self, partition: Partition, limit: int = 256) -> Sequence[Alarm]:
        alarms = self._memory.at(partition).alarms
        return [Alarm.model_validate({"key": key, **told}) for key, told in islice(alarms.items(), limit)]

    async def told(self, partition: Partition, keys: Sequence[str]) -> None:
        for key in keys:
            self._memory.at(partition).alarms.pop(key, None)
