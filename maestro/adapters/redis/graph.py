"""maestro.field.graph.Graph on Redis: an ordered set per node, of what it is bound to, by date."""

import asyncio
from collections.abc import Collection, Sequence

from maestro.adapters.redis.store import Keys
from maestro.field.graph import KEPT, Bond, Edge
from maestro.ids import EntryId, Partition, TimeMs


class RedisGraph:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def tie(self, partition: Partition, edges: Sequence[Edge], kept: int = KEPT) -> None:
        told = [part for edge in edges for part in (edge.entry, edge.kind, edge.node, edge.at_ms)]
        await self._keys.wire.script("graph", self._keys.partition(partition), kept, 0, *told)

    async def bonds(self, partition: Partition, nodes: Sequence[str], most: int) -> Sequence[Sequence[Bond]]:
        place = self._keys.partition(partition)
        found = await asyncio.gather(
            *(self._keys.wire.execute("ZREVRANGE", f"{place}:g:{node}", 0, most - 1, "WITHSCORES") for node in nodes)
        )
        return [[_bond(row[i], row[i + 1]) for i in range(0, len(row), 2)] for row in found]

    async def cut(self, partition: Partition, entries: Collection[EntryId]) -> int:
        if not entries:
            return 0
        place = self._keys.partition(partition)
        return int(await self._keys.wire.script("graph", place, KEPT, len(entries), *entries))


def _bond(member: bytes, at_ms: bytes) -> Bond:
    kind, _, node = member.decode().partition(" ")
    return Bond(kind, node, TimeMs(int(float(at_ms))))
