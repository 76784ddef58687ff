"""Records in Redis. Apart from its siblings, so that they import where no Redis client is installed."""

from typing import Self

from maestro.adapters.redis.backend import open_backend
from maestro.ids import DEFAULT_TENANT, TenantId
from maestro.turns.stores import ContinuationStore, installed


class RedisContinuationStore(ContinuationStore):
    """Records in Redis, beside every other continuation of the tenant."""

    @classmethod
    async def open(
        cls, url: str, key: bytes, tenant: str = DEFAULT_TENANT, partitions: int = 1, virtual_clock: bool = False
    ) -> Self:
        """The tenant's records at `url`.

        Args:
            key: signs and checks what is kept; the same for all who share the store.

        Raises:
            StoreUnavailable, StoreRefused: see maestro.adapters.redis.backend.open_backend.
        """
        return cls(installed(await open_backend(url, TenantId(tenant), partitions, virtual_clock), key))
