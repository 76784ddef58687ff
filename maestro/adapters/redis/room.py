"""The port ArtifactRoom on Redis: a hash per family and one of the whole partition, content -> bytes and when."""

from maestro.adapters.redis.store import Keys, unknown
from maestro.ids import ContinuationId, Partition
from maestro.tools.room import LOOKED_MS, SPARED_MS, Room, RoomLimits, RoomUse


class RedisArtifactRoom:
    """maestro.tools.room.ArtifactRoom on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def take(
        self, cid: ContinuationId, name: str, size_bytes: int, limits: RoomLimits, anyhow: bool = False
    ) -> Room:
        share = limits.tenant_bytes // self._keys.partitions
        asked = (name, size_bytes, limits.family_bytes, share, int(anyhow), SPARED_MS, LOOKED_MS)
        reply = await self._keys.script("artifact_room", cid, cid, *asked)
        if not reply:
            raise unknown(cid)
        granted, family_bytes, partition_bytes = map(int, reply)
        return Room(bool(granted), family_bytes, partition_bytes)

    async def used(self, partition: Partition) -> RoomUse:
        book = f"{self._keys.partition(partition)}:art"
        size = await self._keys.wire.execute("HGET", book, "*")
        if size is None:
            return RoomUse()
        names = int(await self._keys.wire.execute("HLEN", book))
        looked = int(await self._keys.wire.execute("HEXISTS", book, "~"))
        return RoomUse(int(size), names - 1 - looked)
