"""Opening a store on Redis: its identity is checked before anything is read or written.

The number of partitions and the kind of clock are fixed when a tenant's store is first opened, and recorded in it.
"""

import time

from maestro.adapters.redis.accounts import RedisAccounts
from maestro.adapters.redis.blocks import RedisBlocks
from maestro.adapters.redis.claims import RedisClaims
from maestro.adapters.redis.loops import (
    RedisLeases,
    RedisOutbox,
    RedisProjections,
    RedisRouter,
    RedisSignals,
    RedisTimers,
)
from maestro.adapters.redis.moves import RedisMoves
from maestro.adapters.redis.nodes import RedisNodes
from maestro.adapters.redis.notices import RedisNotices
from maestro.adapters.redis.placements import RedisPlacements
from maestro.adapters.redis.records import RedisRecords, RedisShelf, RedisSources
from maestro.adapters.redis.steering import RedisSteering
from maestro.adapters.redis.store import Keys, RedisJournals, RedisStore, flat
from maestro.adapters.redis.tools import RedisToolRecords
from maestro.adapters.redis.wire import Wire
from maestro.errors import StoreRefused
from maestro.ids import Partition, TenantId, TimeMs
from maestro.runtime.backend import Backend
from maestro.runtime.ports import CLOCK, Signals

FORMAT = "1"
"""Of keys and scripts; another number means that other code wrote this store."""


class RedisClock:
    """The store's clock: Redis' TIME, plus the offset of a virtual clock."""

    def __init__(self, keys: Keys, signals: Signals) -> None:
        self._wire = keys.wire
        self._offset_key = f"{keys.partition(Partition(0))}:clock"
        self._signals = signals

    async def now_ms(self) -> TimeMs:
        seconds, micros = await self._wire.execute("TIME")
        offset = await self._wire.execute("GET", self._offset_key)
        return TimeMs(int(seconds) * 1000 + int(micros) // 1000 + int(offset or 0))

    async def sleep_until(self, due_ms: TimeMs) -> None:
        while (ahead_ms := due_ms - await self.now_ms()) > 0:
            await self._signals.wait(CLOCK, min(ahead_ms, 1_000))


async def open_backend(url: str, tenant: TenantId, partitions: int = 1, virtual: bool = False) -> Backend:
    """The ports of the tenant's store at `url`.

    Raises:
        StoreUnavailable: nothing answers at `url`.
        StoreRefused: the store was made with other partitions, another clock or another format.
    """
    wire = Wire(url)
    keys = Keys(wire, tenant, partitions)
    await _identify(keys, virtual)
    signals = RedisSignals(keys)
    return Backend(
        tenant=tenant,
        partitions=partitions,
        clock=RedisClock(keys, signals),
        store=RedisStore(keys),
        journals=RedisJournals(keys),
        leases=RedisLeases(keys),
        timers=RedisTimers(keys),
        outbox=RedisOutbox(keys),
        projections=RedisProjections(keys),
        signals=signals,
        router=RedisRouter(keys),
        records=RedisRecords(keys),
        steering=RedisSteering(keys, virtual),
        shelf=RedisShelf(keys),
        sources=RedisSources(keys),
        blocks=RedisBlocks(keys),
        moves=RedisMoves(keys),
        claims=RedisClaims(keys),
        notices=RedisNotices(keys),
        nodes=RedisNodes(keys),
        placements=RedisPlacements(keys),
        accounts=RedisAccounts(keys),
        tools=RedisToolRecords(keys),
        close=wire.close,
    )


async def _identify(keys: Keys, virtual: bool) -> None:
    """The store's identity is written if it is new, and is what this process expects."""
    place = f"maestro:{keys.tenant}:meta"
    wanted = {"format": FORMAT, "partitions": str(keys.partitions), "clock": "virtual" if virtual else "system"}
    for name, value in wanted.items():
        await keys.wire.execute("HSETNX", place, name, value)
    await keys.wire.execute("HSETNX", place, "created_at_ms", str(int(time.time() * 1000)))
    reply = flat(await keys.wire.execute("HGETALL", place))
    found = {reply[i].decode(): reply[i + 1].decode() for i in range(0, len(reply), 2)}
    for name, value in wanted.items():
        if found[name] != value:
            await keys.wire.close()
            raise StoreRefused(
                f"this store was made with {name} {found[name]}, not {value}",
                field=name,
                hint=f"set MAESTRO_{name.upper()}={found[name]}, or use another store",
            )
