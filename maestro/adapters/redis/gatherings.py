"""maestro.runtime.ports.Gatherings on Redis: the stream of events is the log, one sorted set says who asked."""

import asyncio
from collections.abc import Mapping, Sequence

from maestro.adapters.redis.graph import RedisGraph
from maestro.adapters.redis.store import Keys
from maestro.field.graph import Graph
from maestro.ids import ContinuationId, EntryId, Partition
from maestro.runtime.ports import Asked, Shelve
from maestro.tick.records import Fact

ANYBODY = "*"
"""Field of the hash `looked` that says who looks."""


class RedisGatherings:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.graph: Graph = RedisGraph(keys)

    async def log(self, partition: Partition, after: str, limit: int = 256) -> Sequence[Fact]:
        rows = await self._keys.wire.execute(
            "XRANGE", f"{self._keys.partition(partition)}:events", f"({after}" if after else "-", "+", "COUNT", limit
        )
        return [Fact(position.decode(), fields[1]) for position, fields in rows]

    async def texts(self, partition: Partition, positions: Sequence[str]) -> Mapping[str, bytes]:
        stream = f"{self._keys.partition(partition)}:events"
        found = await asyncio.gather(*(self._keys.wire.execute("XRANGE", stream, at, at) for at in positions))
        return {position: rows[0][1][1] for position, rows in zip(positions, found, strict=True) if rows}

    async def asked(self, partition: Partition, limit: int = 64) -> Sequence[Asked]:
        reply = await self._keys.wire.script("asked", self._keys.partition(partition), limit)
        rows = [reply[i : i + 3] for i in range(0, len(reply), 3)]
        return [
            Asked(ContinuationId(cid.decode()), int(told), looked.decode().partition(" ")[2])
            for cid, told, looked in rows
        ]

    async def held(self, cid: ContinuationId, ids: Sequence[EntryId]) -> frozenset[EntryId]:
        entries = f"{self._keys.of(cid)}:e:{cid}"
        there = await asyncio.gather(*(self._keys.wire.execute("HEXISTS", entries, name) for name in ids))
        return frozenset(name for name, is_there in zip(ids, there, strict=True) if is_there)

    async def gathered(self, asked: Asked, kept: str, entries: Sequence[Shelve]) -> int:
        arguments: list[str | bytes | int] = []
        for item in entries:
            arguments += [item.half_life_ms, repr(item.rank_key), item.entry_id, item.entry]
        return int(await self._keys.script("gathered", asked.cid, asked.cid, asked.told, kept, *arguments))

    async def open(self, told: str) -> None:
        for key in self._partitions():
            await self._keys.wire.execute("HSET", f"{key}:looked", ANYBODY, told)

    async def told(self) -> str | None:
        told = await self._keys.wire.execute("HGET", f"{self._keys.partition(Partition(0))}:looked", ANYBODY)
        return None if told is None else told.decode()

    async def close(self) -> None:
        for key in self._partitions():
            await self._keys.wire.execute("HDEL", f"{key}:looked", ANYBODY)
            await self._keys.wire.execute("DEL", f"{key}:asked")

    def _partitions(self) -> list[str]:
        return [self._keys.partition(Partition(number)) for number in range(self._keys.partitions)]
