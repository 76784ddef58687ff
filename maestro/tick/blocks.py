"""The port to kept blocks, and the keeper that puts each but once.

Invariants: a block is in the store before anything that refers to it is; one that nothing refers to is harmless, and
is swept when it has not been put for SPARED_MS. A keeper trusts its memory for KEPT_MS only, which is far less: what it
does not put again cannot be swept meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from maestro.ids import ContinuationId, Partition, TimeMs, partition_of

SPARED_MS = 24 * 3_600_000
KEPT_MS = 3_600_000
REMEMBERED = 100_000
"""Names that a keeper remembers; then it begins anew."""


class Blocks(Protocol):
    """Bytes under their SHA-256, once per partition."""

    async def put(self, cid: ContinuationId, blocks: Mapping[str, bytes]) -> None:
        """These are in the partition of `cid`, and were put now; what was there already is not written again."""
        ...

    async def get(self, cid: ContinuationId, names: Sequence[str]) -> Mapping[str, bytes]:
        """Those of `names` that are there."""
        ...

    async def names(self, partition: Partition, before_ms: TimeMs) -> Sequence[str]:
        """All that were put before `before_ms` and not since."""
        ...

    async def drop(self, partition: Partition, names: Sequence[str], before_ms: TimeMs) -> int:
        """Those of `names` that have not been put since `before_ms` are gone; returns how many."""
        ...


class Keeper:
    """Keeps blocks for the ticks of one process."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._put: dict[tuple[Partition, str], TimeMs] = {}

    async def keep(self, cid: ContinuationId, blocks: Mapping[str, bytes], now_ms: TimeMs) -> None:
        """All of these are in the store."""
        partition = partition_of(cid)
        since_ms = now_ms - KEPT_MS
        new = {name: body for name, body in blocks.items() if self._put.get((partition, name), -1) < since_ms}
        if not new:
            return
        await self._blocks.put(cid, new)
        if len(self._put) + len(new) > REMEMBERED:
            self._put.clear()
        self._put.update(((partition, name), now_ms) for name in new)

    async def fetch(self, cid: ContinuationId, names: Sequence[str]) -> Mapping[str, bytes]:
        """Those of `names` that are there."""
        return await self._blocks.get(cid, names)
