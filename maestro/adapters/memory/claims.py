"""The port Claims in memory."""

from dataclasses import replace

from maestro.adapters.memory.state import Memory
from maestro.ids import HolderId, Partition, TimeMs
from maestro.runtime.claims import Claim

NOBODY = Claim(False, 0, HolderId(""), "", TimeMs(0), TimeMs(0))


class MemoryClaims:
    """maestro.runtime.claims.Claims in memory."""

    def __init__(self, memory: Memory) -> None:
        self._first = memory.at(Partition(0))
        self._held: dict[str, Claim] = {}

    async def take(self, name: str, holder: HolderId, site: str, lease_ms: int) -> Claim:
        now_ms, known = self._first.now(), self._held.get(name, NOBODY)
        if known.until_ms > now_ms and known.site != site:
            return replace(known, granted=False, now_ms=now_ms)
        self._held[name] = Claim(
            True, self._first.next_epoch(known.epoch), holder, site, TimeMs(now_ms + lease_ms), now_ms
        )
        return self._held[name]

    async def renew(self, name: str, epoch: int, lease_ms: int) -> bool:
        known = self._held.get(name, NOBODY)
        if known.epoch != epoch:
            return False
        self._held[name] = replace(known, until_ms=TimeMs(self._first.now() + lease_ms))
        return True

    async def let_go(self, name: str, epoch: int) -> None:
        await self.renew(name, epoch, 0)
