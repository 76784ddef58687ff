"""The port Claims on Redis: one hash per name, in the first partition."""

from maestro.adapters.redis.store import Keys
from maestro.ids import HolderId, Partition, TimeMs
from maestro.runtime.claims import Claim


class RedisClaims:
    """maestro.runtime.claims.Claims on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def take(self, name: str, holder: HolderId, site: str, lease_ms: int) -> Claim:
        return await self._ask("take", name, 0, lease_ms, holder, site)

    async def renew(self, name: str, epoch: int, lease_ms: int) -> bool:
        return (await self._ask("renew", name, epoch, lease_ms, "", "")).granted

    async def let_go(self, name: str, epoch: int) -> None:
        await self._ask("renew", name, epoch, 0, "", "")

    async def _ask(self, verb: str, name: str, epoch: int, lease_ms: int, holder: str, site: str) -> Claim:
        key = self._keys.partition(Partition(0))
        reply = await self._keys.wire.script("claim", key, verb, name, epoch, lease_ms, holder, site)
        granted, epoch, held_by, at_site, until_ms, now_ms = reply
        return Claim(
            granted=bool(granted),
            epoch=int(epoch),
            holder=HolderId(held_by.decode()),
            site=at_site.decode(),
            until_ms=TimeMs(int(until_ms)),
            now_ms=TimeMs(int(now_ms)),
        )
