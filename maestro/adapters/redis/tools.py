"""The port ToolRecords on Redis: a hash per result in the partition that its key calls home, one of uses per tool."""

from maestro.adapters.redis.store import Keys
from maestro.ids import Partition, home_partition
from maestro.tools.calls import Look
from maestro.tools.spec import DAY_MS


class RedisToolRecords:
    """maestro.tools.calls.ToolRecords on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def look(self, key: str, holder: str, lease_ms: int, waited: bool = False) -> Look:
        state, *value = await self._ask("look", key, holder, lease_ms, int(waited))
        match state:
            case b"hit":
                return Look("hit", value[0])
            case b"busy":
                return Look("busy")
            case _:
                return Look("mine")

    async def keep(self, key: str, holder: str, value: bytes, ttl_ms: int) -> None:
        await self._ask("keep", key, holder, ttl_ms, value)

    async def let_go(self, key: str, holder: str) -> None:
        await self._ask("let_go", key, holder, 0, "")

    async def take(self, tool: str, call_id: str, limit: int) -> bool:
        return bool(await self._keys.wire.script("tool_quota", self._home(tool), tool, call_id, limit, DAY_MS))

    async def _ask(self, verb: str, key: str, holder: str, ms: int, more: str | bytes | int) -> list[bytes]:
        reply: list[bytes] = await self._keys.wire.script("tool_cache", self._home(key), verb, key, holder, ms, more)
        return reply

    def _home(self, key: str) -> str:
        return self._keys.partition(Partition(home_partition(key, self._keys.partitions)))
