"""The port Placements on Redis: per partition a hash of placed calls, and two sorted sets of ids, waiting and taken."""

from collections.abc import Sequence

import orjson

from maestro.adapters.redis.store import Keys
from maestro.ids import CallId, ContinuationId, Partition, TimeMs
from maestro.pager.placed import Placed, Taken


class RedisPlacements:
    """maestro.pager.placed.Placements on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def place(self, placed: Placed) -> bool:
        body = orjson.dumps([placed.cid, placed.due_ms, placed.until_ms, placed.request])
        return bool(await self._keys.script("place_call", placed.cid, placed.call_id, placed.due_ms, body))

    async def take(self, partition: Partition, limit: int, inherit: bool = False) -> Taken:
        key = self._keys.partition(partition)
        now_ms, next_due_ms, *flat = await self._keys.wire.script("take_calls", key, limit, int(inherit))
        calls = tuple(_placed(call_id, body) for call_id, body in zip(flat[::2], flat[1::2], strict=True))
        return Taken(calls, TimeMs(int(now_ms)), None if next_due_ms == b"" else TimeMs(int(next_due_ms)))

    async def done(self, placed: Sequence[Placed]) -> None:
        for one in placed:
            await self._keys.script("drop_call", one.cid, one.call_id)


def _placed(call_id: bytes, body: bytes) -> Placed:
    cid, due_ms, until_ms, request = orjson.loads(body)
    return Placed(CallId(call_id.decode()), ContinuationId(cid), TimeMs(due_ms), TimeMs(until_ms), request)
