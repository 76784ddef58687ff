"""maestro.tick.blocks on Redis: a string per block, and one ordered set of when each was last put."""

from collections.abc import Mapping, Sequence

from maestro.adapters.redis.store import Keys
from maestro.ids import ContinuationId, Partition, TimeMs

AT_ONCE_BYTES = 1_000_000  # per script: a large prompt must not hold up the others' commits


class RedisBlocks:
    """maestro.tick.blocks.Blocks on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def put(self, cid: ContinuationId, blocks: Mapping[str, bytes]) -> None:
        batch: list[str | bytes] = []
        size = 0
        for name, body in blocks.items():
            batch += [name, body]
            size += len(body)
            if size > AT_ONCE_BYTES:
                await self._keys.script("put_blocks", cid, *batch)
                batch, size = [], 0
        if batch:
            await self._keys.script("put_blocks", cid, *batch)

    async def get(self, cid: ContinuationId, names: Sequence[str]) -> Mapping[str, bytes]:
        if not names:
            return {}
        place = self._keys.of(cid)
        bodies = await self._keys.wire.execute("MGET", *(f"{place}:o:{name}" for name in names))
        return {name: body for name, body in zip(names, bodies, strict=True) if body is not None}

    async def names(self, partition: Partition, before_ms: TimeMs) -> Sequence[str]:
        place = f"{self._keys.partition(partition)}:blocks"
        reply = await self._keys.wire.execute("ZRANGEBYSCORE", place, "-inf", f"({before_ms}")
        return sorted(name.decode() for name in reply)

    async def drop(self, partition: Partition, names: Sequence[str], before_ms: TimeMs) -> int:
        if not names:
            return 0
        return int(await self._keys.wire.script("drop_blocks", self._keys.partition(partition), before_ms, *names))
