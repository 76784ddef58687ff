"""The port Pieces on Redis: per call a list of pieces, per continuation a hash of how each of them stands."""

from collections.abc import Sequence

import orjson

from maestro.adapters.redis.store import Keys
from maestro.ids import CallId, ContinuationId
from maestro.pager.pieces import PIECE_BYTES_KEPT, PIECES_KEPT, Kept, Writing


class RedisPieces:
    """maestro.pager.pieces.Pieces on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def begin(self, writing: Writing, because: str) -> int:
        return int(await self._keys.script("begin_pieces", writing.cid, *_named(writing), orjson.dumps(because)))

    async def add(self, writing: Writing, edition: int, texts: Sequence[str]) -> bool:
        told = [part for text in texts for part in (orjson.dumps(text), len(text), len(text.encode()))]
        limits = (PIECES_KEPT, PIECE_BYTES_KEPT)
        return bool(await self._keys.script("add_pieces", writing.cid, *_named(writing), edition, *limits, *told))

    async def read(self, cid: ContinuationId, call_id: CallId, after: int = 0, limit: int = 256) -> Sequence[Kept]:
        return [_kept(row) for row in await self._keys.script("read_pieces", cid, cid, call_id, after, limit)]


def _named(writing: Writing) -> tuple[str, int, str]:
    return writing.cid, writing.ordinal, writing.call_id


def _kept(row: bytes) -> Kept:
    """A piece as it lies in its list: `<number> <edition> <at> <bytes> <t or r> <text as JSON>`."""
    number, edition, at, _, kind, body = row.split(b" ", 5)
    text = orjson.loads(body)
    place = int(number), int(edition), int(at)
    return Kept(*place, text=text) if kind == b"t" else Kept(*place, because=text)
