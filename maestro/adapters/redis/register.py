"""The port Register on Redis: one hash per kind, in the first partition."""

from collections.abc import Mapping
from typing import Any

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys
from maestro.ids import Partition, TimeMs


class RedisRegister:
    """maestro.runtime.register.Register on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def add(self, kind: str, name: str, note: bytes, until_ms: TimeMs | None = None) -> bytes | None:
        return _note(await self._ask("add", kind, name, note, until_ms))

    async def put(self, kind: str, name: str, note: bytes, until_ms: TimeMs | None = None) -> None:
        await self._ask("put", kind, name, note, until_ms)

    async def get(self, kind: str, name: str) -> bytes | None:
        return _note(await self._ask("get", kind, name))

    async def take(self, kind: str, name: str) -> bytes | None:
        return _note(await self._ask("take", kind, name))

    async def all(self, kind: str) -> Mapping[str, bytes]:
        return codec.pairs(await self._ask("all", kind, ""))

    async def _ask(self, verb: str, kind: str, name: str, note: bytes = b"", until_ms: TimeMs | None = None) -> Any:
        key = self._keys.partition(Partition(0))
        return await self._keys.wire.script(
            "register", key, verb, kind, name, note, "" if until_ms is None else until_ms
        )


def _note(reply: Any) -> bytes | None:
    return None if reply is None else bytes(reply)
