"""Opening a store on Redis: its identity is checked before anything is read or written.

The number of partitions and the kind of clock are fixed when a tenant's store is first opened, and recorded in it.
"""

import time

from maestro.adapters.redis.accounts import RedisAccounts
from maestro.adapters.redis.blocks import RedisBlocks
from maestro.adapters.redis.claims import RedisClaims
from maestro.adapters.redis.identity import RedisIdentity
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
from maestro.errors import StoreRefused, StoreWentBack
from maestro.ids import Partition, TenantId, TimeMs, new_token
from maestro.runtime.backend import Backend
from maestro.runtime.identity import WHAT_TO_DO
from maestro.runtime.ports import CLOCK, Signals

FORMAT = "1"
"""Of keys and scripts; another number means that other code wrote this store."""


class RedisClock:
    """The store's clock, as clock.lua tells it: it never goes back."""

    def __init__(self, keys: Keys, signals: Signals) -> None:
        self._keys = keys
        self._signals = signals

    async def now_ms(self) -> TimeMs:
        return TimeMs(int(await self._keys.wire.script("now", self._keys.partition(Partition(0)))))

    async def sleep_until(self, due_ms: TimeMs) -> None:
        while (ahead_ms := due_ms - await self.now_ms()) > 0:
            await self._signals.wait(CLOCK, min(ahead_ms, 1_000))


async def open_backend(
    url: str, tenant: TenantId, partitions: int = 1, virtual: bool = False, known: bool = False
) -> Backend:
    """The ports of the tenant's store at `url`; a new one where there is none.

    Args:
        known: there was one before: it is not made anew.

    Raises:
        StoreUnavailable: nothing answers at `url`.
        StoreRefused: the store was made with other partitions, another clock or another format.
        StoreWentBack: it is empty, and `known`; nothing was written.
    """
    wire = Wire(url)
    keys = Keys(wire, tenant, partitions)
    identity = RedisIdentity(keys)
    await _check_known(keys, known)
    await _identify(keys, virtual)
    await identity.open(new_token("store"))
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
        identity=identity,
        placements=RedisPlacements(keys),
        accounts=RedisAccounts(keys),
        tools=RedisToolRecords(keys),
        close=wire.close,
    )


async def _check_known(keys: Keys, known: bool) -> None:
    if known and not await keys.wire.execute("EXISTS", f"maestro:{keys.tenant}:meta"):
        await keys.wire.close()
        raise StoreWentBack("the store is empty; it was not when it was last seen", hint=WHAT_TO_DO)


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
