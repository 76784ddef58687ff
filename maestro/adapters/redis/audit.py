"""The port AuditLog on Redis: one list, in the first partition."""

from collections.abc import Sequence
from typing import Any

from maestro.adapters.redis.store import Keys
from maestro.ids import Partition, TimeMs
from maestro.runtime.audit import Tail


class RedisAudit:
    """maestro.runtime.audit.AuditLog on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._place = keys.partition(Partition(0))

    async def tail(self) -> Tail:
        _, count, last, now_ms = await self._script(0)
        return Tail(int(count), bytes(last), TimeMs(int(now_ms)))

    async def append(self, count: int, lines: Sequence[bytes]) -> bool:
        written, *_ = await self._script(count, *lines)
        return bool(written)

    async def read(self, first: int, limit: int) -> Sequence[bytes]:
        return list(await self._keys.wire.execute("LRANGE", f"{self._place}:audit", first, first + limit - 1))

    async def _script(self, *arguments: object) -> list[Any]:
        reply: list[Any] = await self._keys.wire.script("audit", self._place, *arguments)
        return reply
