"""The port Alarms on Redis: a hash of alerts by their key, written by tell_crossings (lib.lua)."""

from collections.abc import Sequence

import orjson

from maestro.adapters.redis.store import Keys, flat
from maestro.ids import Partition
from maestro.runtime.alarms import Alarm


class RedisAlarms:
    """maestro.runtime.alarms.Alarms on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def waiting(self, partition: Partition, limit: int = 256) -> Sequence[Alarm]:
        told = flat(await self._keys.wire.execute("HGETALL", f"{self._keys.partition(partition)}:alarms"))
        pairs = list(zip(told[::2], told[1::2], strict=True))[:limit]
        return [Alarm.model_validate({"key": key.decode(), **orjson.loads(body)}) for key, body in pairs]

    async def told(self, partition: Partition, keys: Sequence[str]) -> None:
        if keys:
            await self._keys.wire.execute("HDEL", f"{self._keys.partition(partition)}:alarms", *keys)
