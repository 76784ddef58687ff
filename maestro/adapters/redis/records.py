"""The reading side of the store on Redis, and the writes of people."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys, flat
from maestro.budget.accounts import AccountPath
from maestro.continuation.lifecycle import Hold
from maestro.field.decay import half_lives, weight
from maestro.field.entry import Entry
from maestro.field.project import Weighed
from maestro.field.shelf import Mark
from maestro.ids import ContinuationId, Partition, TimeMs, home_partition
from maestro.mesh.source import SourceRecord
from maestro.tick.records import Fact, Glance, Living


class RedisRecords:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def glance(self, cid: ContinuationId) -> Glance | None:
        reply = await self._keys.script("glance", cid, cid)
        if not reply:
            return None
        checkpoint, epoch, rev, tries, holder, keys, frozen, ready, unread, error, ledger, *rest = reply
        last_holder, hold, frost, parent, brake, moved, pin, account = rest
        return Glance(
            cid=cid,
            checkpoint=checkpoint,
            epoch=epoch,
            rev=rev,
            tries=tries,
            holder=holder.decode() or None,
            ready_since_ms=TimeMs(abs(int(float(ready)))) if ready else None,
            wake_keys=codec.keys_of(keys),
            unread=unread,
            error=error.decode() if error else None,
            frozen=frozen != b"0",
            ledger=codec.ledger_of(ledger),
            last_holder=last_holder.decode() if last_holder else None,
            hold=Hold(hold.decode()) if hold else None,
            frost=codec.frost_of(frost or brake),
            parent=ContinuationId(parent.decode()) if parent else None,
            moved_to=orjson.loads(moved)["to"] if moved else None,
            moved_by=orjson.loads(moved)["id"] if moved else None,
            account=AccountPath(account.decode()) if account else None,
            pin=codec.pin_of(pin),
        )

    async def ids(self, partition: Partition) -> Sequence[ContinuationId]:
        reply = await self._execute("ZRANGE", partition, "all", 0, -1)
        return [ContinuationId(cid.decode()) for cid in reply]

    async def living(self, partition: Partition, first: int, limit: int = 500) -> Living:
        reply = await self._keys.wire.script("living", self._keys.partition(partition), first, limit)
        looked_at, *flat_rows = reply
        cids = [ContinuationId(cid.decode()) for cid in flat_rows[::3]]
        held = (cid for cid, hold in zip(cids, flat_rows[1::3], strict=True) if hold)
        return Living(looked_at, tuple(zip(cids, flat_rows[2::3], strict=True)), frozenset(held))

    async def named(self, name: str) -> ContinuationId | None:
        home = home_partition(name, self._keys.partitions)
        cid = await self._execute("HGET", home, "names", name)
        return ContinuationId(cid.decode()) if cid else None

    async def log(self, cid: ContinuationId, first: int = 0, last: int = -1) -> Sequence[tuple[TimeMs, bytes]]:
        lines = await self._keys.wire.execute("LRANGE", f"{self._keys.of(cid)}:l:{cid}", first, last)
        return [codec.log_line_of(cid, line) for line in lines]

    async def findings(self, root: ContinuationId) -> Sequence[bytes]:
        return list(await self._keys.wire.execute("LRANGE", f"{self._keys.of(root)}:fd:{root}", 0, -1))

    async def waiting(self, partition: Partition) -> Mapping[ContinuationId, bytes]:
        reply = flat(await self._execute("HGETALL", partition, "waits"))
        return {ContinuationId(cid): asked for cid, asked in codec.pairs(reply).items()}

    async def feed(self, partition: Partition, after: str = "0-0", limit: int = 256) -> Sequence[Fact]:
        rows = await self._execute("XRANGE", partition, "feed", f"({after}", "+", "COUNT", limit)
        return [Fact(position.decode(), fields[1]) for position, fields in rows]

    async def span(self, partition: Partition) -> tuple[str, str]:
        oldest = await self._execute("XRANGE", partition, "feed", "-", "+", "COUNT", 1)
        newest = await self._execute("XREVRANGE", partition, "feed", "+", "-", "COUNT", 1)
        return (oldest[0][0].decode(), newest[0][0].decode()) if oldest and newest else ("0-0", "0-0")

    async def events(self, partition: Partition, limit: int = 100) -> Sequence[bytes]:
        rows = await self._execute("XREVRANGE", partition, "events", "+", "-", "COUNT", limit)
        return [fields[1] for _, fields in rows]

    async def dead_letters(self, partition: Partition, limit: int = 100) -> Sequence[bytes]:
        return list(await self._execute("LRANGE", partition, "dead", -limit, -1))

    async def counts(self, partition: Partition) -> Mapping[str, int]:
        reply = await self._keys.wire.script("counts", self._keys.partition(partition))
        return {name: int(float(value)) for name, value in codec.pairs(reply).items()}

    async def _execute(self, command: str, partition: Partition, key: str, *arguments: object) -> Any:
        place = f"{self._keys.partition(partition)}:{key}"
        return await self._keys.wire.execute(command, place, *arguments)


class RedisShelf:
    """maestro.field.shelf.Shelf on Redis: one ordered set per half-life, merged where they lie."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def top(self, cid: ContinuationId, n: int, now_ms: TimeMs) -> Sequence[Weighed]:
        reply = await self._keys.script("heaviest", cid, cid, n, now_ms, *half_lives())
        return [
            Weighed(Entry.model_validate_json(reply[i + 2]), weight(float(reply[i + 1]), int(reply[i]), now_ms))
            for i in range(0, len(reply), 3)
        ]

    async def mark(self, cid: ContinuationId) -> Mark:
        told, complete, unscored, waited_ms, looked = await self._keys.script("mark", cid, cid)
        return Mark(int(told), int(complete), unscored, int(waited_ms), int(looked) if looked else None)

    async def ask(self, cid: ContinuationId) -> None:
        await self._keys.script("ask", cid, cid)


class RedisSources:
    """maestro.mesh.source.SourceRecords on Redis: one hash, in partition 0."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._key = f"{keys.partition(Partition(0))}:sources"

    async def load(self, name: str) -> SourceRecord | None:
        raw = await self._keys.wire.execute("HGET", self._key, name)
        return SourceRecord.model_validate_json(raw) if raw else None

    async def save(self, record: SourceRecord) -> None:
        await self._keys.wire.execute("HSET", self._key, record.name, record.model_dump_json())

    async def list(self) -> list[SourceRecord]:
        rows = codec.pairs(flat(await self._keys.wire.execute("HGETALL", self._key)))
        return [SourceRecord.model_validate(orjson.loads(rows[name])) for name in sorted(rows)]

    async def remove(self, name: str) -> bool:
        return bool(await self._keys.wire.execute("HDEL", self._key, name))
