"""The port Identity on Redis: `who` in each partition, and the run id of the server."""

import time

from maestro.adapters.redis.store import Keys
from maestro.ids import Partition, TimeMs
from maestro.runtime.identity import WRITES, Standing


class RedisIdentity:
    """maestro.runtime.identity.Identity on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def read(self) -> Standing:
        found = [await self._keys.wire.script("standing", place, *WRITES) for place in self._places()]
        counts = [dict(zip(WRITES, map(int, (n or 0 for n in numbers)), strict=True)) for _, _, *numbers in found]
        store, incarnation, shut = _parts(found[0][0].decode())
        return Standing(
            store=store,
            incarnation=incarnation,
            committed=sum(of["committed"] for of in counts),
            writes=sum(sum(of.values()) for of in counts),
            told_ms=TimeMs(max(int(told_ms) for _, told_ms, *_ in found)),
            server=await self._keys.wire.server(),
            shut=shut,
        )

    async def shut(self) -> None:
        for place in self._places():
            await self._keys.wire.script("shut", place)

    async def incarnate(self, store: str, incarnation: int, note: str, fact: bytes) -> int:
        arguments = (store, incarnation, note, fact)
        return sum([int(await self._keys.wire.script("incarnate", place, *arguments)) for place in self._places()])

    async def open(self, new_id: str) -> None:
        """Every partition knows which store it belongs to; what was new is `new_id` now."""
        first, *others = self._places()
        own_ms = time.time_ns() // 1_000_000
        store, *_ = _parts((await self._keys.wire.script("open", first, new_id, own_ms)).decode())
        for place in others:
            await self._keys.wire.script("open", place, store, own_ms)

    def _places(self) -> list[str]:
        return [self._keys.partition(Partition(number)) for number in range(self._keys.partitions)]


def _parts(who: str) -> tuple[str | None, int, bool]:
    """(store, incarnation, shut) of `<store> <incarnation>[ closed]`."""
    store, incarnation, shut = [*who.split(), *("", "0", "")[len(who.split()) :]]
    return store or None, int(incarnation), bool(shut)
