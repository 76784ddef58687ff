"""Opening a store on Redis: its identity is checked before anything is read or written.

The number of partitions and the kind of clock are fixed when a tenant's store is first opened, and recorded in it.
"""

import time

from maestro.adapters.redis.accounts import RedisAccounts
from maestro.adapters.redis.alarms import RedisAlarms
from maestro.adapters.redis.audit import RedisAudit
from maestro.adapters.redis.blocks import RedisBlocks
from maestro.adapters.redis.claims import RedisClaims
from maestro.adapters.redis.gatherings import RedisGatherings
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
from maestro.adapters.redis.pieces import RedisPieces
from maestro.adapters.redis.placements import RedisPlacements
from maestro.adapters.redis.records import RedisRecords, RedisShelf, RedisSources
from maestro.adapters.redis.register import RedisRegister
from maestro.adapters.redis.room import RedisArtifactRoom
from maestro.adapters.redis.slots import open_wire
from maestro.adapters.redis.steering import RedisSteering
from maestro.adapters.redis.store import Keys, RedisJournals, RedisStore, flat
from maestro.adapters.redis.tools import RedisToolRecords
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
    url: str, tenant: TenantId, partitions: int = 1, virtual: bool = False, known: bool = False, replicas: int = 0
) -> Backend:
    """The ports of the tenant's store at `url`; a new one where there is none.

    Args:
        known: there was one before: it is not made anew.
        replicas: how many must have a write before it counts as done.

    Raises:
        StoreUnavailable: nothing answers at `url`.
        StoreRefused: the store was made with other partitions, another clock or another format.
        StoreWentBack: it is empty, and `known`; nothing was written.
    """
    wire = open_wire(url, replicas)
    keys = Keys(wire, tenant, partitions)
    identity = RedisIdentity(keys)
    try:
        await _check_known(keys, known)
        await _identify(keys, virtual)
        await identity.open(new_token("store"))
    except BaseException:
        await wire.close()
        raise
    return _backend(keys, virtual)


def _backend(keys: Keys, virtual: bool) -> Backend:
    """Every port over these keys."""
    signals = RedisSignals(keys)
    return Backend(
        tenant=keys.tenant,
        partitions=keys.partitions,
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
        gatherings=RedisGatherings(keys),
        sources=RedisSources(keys),
        blocks=RedisBlocks(keys),
        moves=RedisMoves(keys),
        claims=RedisClaims(keys),
        notices=RedisNotices(keys),
        nodes=RedisNodes(keys),
        identity=RedisIdentity(keys),
        placements=RedisPlacements(keys),
        pieces=RedisPieces(keys),
        alarms=RedisAlarms(keys),
        accounts=RedisAccounts(keys),
        tools=RedisToolRecords(keys),
        room=RedisArtifactRoom(keys),
        register=RedisRegister(keys),
        audit=RedisAudit(keys),
        close=keys.wire.close,
    )


async def _check_known(keys: Keys, known: bool) -> None:
    if known and not await keys.wire.execute("EXISTS", f"maestro:{keys.tenant}:meta"):
        raise StoreWentBack("the store is empty; it was not when it was last seen", hint=WHAT_TO_DO)


async def _identify(keys: Keys, virtual: bool) -> None:
    """The store's identity is written if it is new, and is what this process expects."""
    place = f"maestro:{keys.tenant}:meta"
    wanted = {"format": FORMAT, "partitions": str(keys.partitions), "clock": "virtual" if virtual else "system"}
    found = await _told_of(keys, place)
    if not wanted.keys() <= found.keys():  # else it is only read: its replicas may be away
        for name, value in (*wanted.items(), ("created_at_ms", str(int(time.time() * 1000)))):
            await keys.wire.execute("HSETNX", place, name, value)
        found = await _told_of(keys, place)
    for name, value in wanted.items():
        if found[name] != value:
            raise StoreRefused(
                f"this store was made with {name} {found[name]}, not {value}",
                field=name,
                hint=f"set MAESTRO_{name.upper()}={found[name]}, or use another store",
            )


async def _told_of(keys: Keys, place: str) -> dict[str, str]:
    reply = flat(await keys.wire.execute("HGETALL", place))
    return {reply[i].decode(): reply[i + 1].decode() for i in range(0, len(reply), 2)}
