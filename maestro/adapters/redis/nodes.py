"""The port Nodes on Redis: one hash of drains in the first partition; a pin is a field of the pinned one."""

from collections.abc import Mapping, Sequence

import orjson
from pydantic import TypeAdapter

from maestro.adapters.redis.store import Keys, ended, flat, unknown
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.runtime.nodes import Census, Drain, Seen, pinned_pool

_SEEN = TypeAdapter(tuple[Seen, ...])


class RedisNodes:
    """maestro.runtime.nodes.Nodes on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._first = keys.partition(Partition(0))

    async def drain(self, node: str, by: str, reason: str) -> bool:
        return bool(await self._keys.wire.script("drain", self._first, "1", node, by, reason))

    async def undrain(self, node: str) -> bool:
        return bool(await self._keys.wire.script("drain", self._first, "0", node, "", ""))

    async def draining(self) -> Mapping[str, Drain]:
        reply = flat(await self._keys.wire.execute("HGETALL", f"{self._first}:drains"))
        told = {reply[i].decode(): orjson.loads(reply[i + 1]) for i in range(0, len(reply), 2)}
        return {node: Drain(one["by"], one["reason"], TimeMs(one["at_ms"])) for node, one in told.items()}

    async def see(self, nodes: Sequence[Seen]) -> None:
        await self._keys.wire.script("see", self._first, orjson.dumps(nodes))

    async def census(self) -> Census | None:
        at_ms, seen = await self._keys.wire.execute("HMGET", f"{self._first}:nodes", "at", "seen")
        return None if seen is None else Census(TimeMs(int(at_ms)), _SEEN.validate_json(seen))

    async def pin(self, cid: ContinuationId, node: str, stays: bool) -> None:
        pinned = (cid, f"{int(stays)} {node} ", pinned_pool(cid, node))
        match await self._keys.script("pin", cid, *pinned):
            case b"unknown":
                raise unknown(cid)
            case b"terminal":
                raise await ended(self._keys, cid)

    async def unpin(self, cid: ContinuationId) -> bool:
        match await self._keys.script("pin", cid, cid, "", ""):
            case b"unknown":
                raise unknown(cid)
            case outcome:
                return bool(outcome == b"ok")
