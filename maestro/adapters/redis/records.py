"""The reading side of the store on Redis, and the writes of people."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys, flat, unknown
from maestro.budget.ledger import Ledger, exceeded
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Control, Kind, Mail
from maestro.errors import ContinuationAlreadyTerminalError, InvalidInput
from maestro.field.decay import Ranked, half_lives, merge_top
from maestro.field.entry import Entry
from maestro.field.project import Weighed
from maestro.ids import ContinuationId, EntryId, MailId, Partition, TimeMs, home_partition
from maestro.mesh.source import SourceRecord
from maestro.tick.records import Fact, Glance
from maestro.tick.store import Birth


class RedisRecords:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def glance(self, cid: ContinuationId) -> Glance | None:
        reply = await self._keys.script("glance", cid, cid)
        if not reply:
            return None
        checkpoint, epoch, rev, tries, holder, keys, frozen, ready, unread, error, ledger, last_holder = reply
        return Glance(
            cid=cid,
            checkpoint=checkpoint,
            epoch=epoch,
            rev=rev,
            tries=tries,
            holder=holder.decode() or None,
            ready_since_ms=TimeMs(int(float(ready))) if ready else None,
            wake_keys=codec.keys_of(keys),
            unread=unread,
            error=error.decode() if error else None,
            frozen=frozen != b"0",
            ledger=codec.ledger_of(ledger),
            last_holder=last_holder.decode() if last_holder else None,
        )

    async def ids(self, partition: Partition) -> Sequence[ContinuationId]:
        reply = await self._execute("ZRANGE", partition, "all", 0, -1)
        return [ContinuationId(cid.decode()) for cid in reply]

    async def named(self, name: str) -> ContinuationId | None:
        home = home_partition(name, self._keys.partitions)
        cid = await self._execute("HGET", home, "names", name)
        return ContinuationId(cid.decode()) if cid else None

    async def log(self, cid: ContinuationId, first: int = 0, last: int = -1) -> Sequence[tuple[TimeMs, bytes]]:
        lines = await self._keys.wire.execute("LRANGE", f"{self._keys.of(cid)}:l:{cid}", first, last)
        cut = (line.partition(b" ") for line in lines)
        return [(TimeMs(int(at)), record) for at, _, record in cut]

    async def findings(self, root: ContinuationId) -> Sequence[bytes]:
        return list(await self._keys.wire.execute("LRANGE", f"{self._keys.of(root)}:fd:{root}", 0, -1))

    async def waiting(self, partition: Partition) -> Mapping[ContinuationId, bytes]:
        reply = flat(await self._execute("HGETALL", partition, "waits"))
        return {ContinuationId(cid): asked for cid, asked in codec.pairs(reply).items()}

    async def feed(self, partition: Partition, after: str = "0-0", limit: int = 256) -> Sequence[Fact]:
        rows = await self._execute("XRANGE", partition, "feed", f"({after}", "+", "COUNT", limit)
        return [Fact(position.decode(), fields[1]) for position, fields in rows]

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


class RedisSteering:
    def __init__(self, keys: Keys, virtual: bool) -> None:
        self._keys = keys
        self._virtual = virtual

    async def rebudget(self, cid: ContinuationId, more: BudgetVector, less: BudgetVector, key: str) -> Ledger:
        granted = Mail(
            id=MailId(f"granted:{key}"),
            kind=Kind.CONTROL,
            sender="budget",
            subject=Control.GRANTED,
            body=dict(more.root),
            sent_ms=TimeMs(0),
        )
        outcome, *facts = await self._keys.script(
            "rebudget", cid, cid, codec.dumps(more.root), codec.dumps(less.root), key, codec.line(granted)
        )
        match outcome:
            case b"ok":
                return codec.ledger_of(facts[0]) if facts else await self._ledger(cid)
            case b"terminal":
                raise ContinuationAlreadyTerminalError(f"{cid} is done ({facts[0].decode()}): its budget is closed")
            case b"budget":
                raise exceeded("take back", facts[0].decode(), facts[1], facts[2])
            case _:
                raise unknown(cid)

    async def fork(self, source: ContinuationId, birth: Birth) -> bool:
        plan = codec.dumps(codec.birth_plan(birth, None))
        outcome, *facts = await self._keys.script("fork", source, source, plan, birth.checkpoint, birth.record)
        match outcome:
            case b"ok" | b"exists":
                return bool(outcome == b"ok")
            case b"budget":
                raise exceeded("move", facts[0].decode(), facts[1], facts[2])
            case _:
                raise unknown(source)

    async def freeze(self, cid: ContinuationId, frozen: bool) -> None:
        if not await self._keys.script("freeze", cid, cid, int(frozen)):
            raise unknown(cid)

    async def advance(self, by_ms: int) -> TimeMs:
        if not self._virtual:
            raise InvalidInput(
                "this store runs on the system clock",
                field="clock",
                hint="create a store with MAESTRO_CLOCK=virtual to move its time",
            )
        if by_ms < 0:
            raise InvalidInput(f"a clock cannot go back by {-by_ms} ms", field="by", hint="give a time such as 21d")
        times = [
            await self._keys.wire.script("advance", self._keys.partition(Partition(p)), by_ms)
            for p in range(self._keys.partitions)
        ]
        return TimeMs(int(times[0]))

    async def _ledger(self, cid: ContinuationId) -> Ledger:
        return codec.ledger_of(flat(await self._keys.wire.execute("HGETALL", f"{self._keys.of(cid)}:b:{cid}")))


class RedisShelf:
    """maestro.field.shelf.Shelf on Redis: one ordered set per half-life, merged at the reader."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def top(self, cid: ContinuationId, n: int, now_ms: TimeMs) -> Sequence[Weighed]:
        reply = await self._keys.script("top", cid, cid, n, *half_lives())
        entries: dict[EntryId, Entry] = {}
        tops: dict[int, list[Ranked]] = {}
        for i in range(0, len(reply), 3):
            entry = Entry.model_validate_json(reply[i + 2])
            entries[entry.id] = entry
            tops.setdefault(int(reply[i]), []).append((float(reply[i + 1]), entry.id))
        return [Weighed(entries[entry_id], weight) for weight, entry_id in merge_top(tops, n, now_ms)]


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
