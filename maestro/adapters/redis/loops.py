"""The ports of the runtime's loops on Redis."""

import time
from collections.abc import Sequence

import orjson

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, HolderId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.mesh.subject import candidates
from maestro.runtime.ports import Fired, Projected, Projection, Routed
from maestro.tick.store import OutboxRow

_SPLIT = "\x00interest\x00"


class RedisLeases:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def expired(self, partition: Partition) -> Sequence[HolderId]:
        reply = await self._keys.wire.script("expired", self._keys.partition(partition))
        return [HolderId(holder.decode()) for holder in reply]

    async def reclaim(self, holder: HolderId, partition: Partition) -> int:
        return int(await self._keys.wire.script("reclaim", self._keys.partition(partition), holder))

    async def tell_room(self, pool: str, places: int, most: int) -> None:
        told = (f"pool_places:{pool}", places, f"pool_most:{pool}", most)
        await self._keys.wire.execute("HSET", f"{self._keys.partition(Partition(0))}:room", *told)


class RedisTimers:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def fire(self, partition: Partition, limit: int = 256) -> Fired:
        own_ms = time.time_ns() // 1_000_000  # a second clock beside the server's
        key = self._keys.partition(partition)
        now_ms, next_due, late = await self._keys.wire.script("fire", key, limit, own_ms)
        due = int(float(next_due))
        return Fired(len(late), TimeMs(due) if due >= 0 else None, TimeMs(int(now_ms)), tuple(late))


class RedisOutbox:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def pending(self, partition: Partition, limit: int = 256) -> Sequence[tuple[str, OutboxRow]]:
        stream = f"{self._keys.partition(partition)}:outbox"
        rows = await self._keys.wire.execute("XRANGE", stream, "-", "+", "COUNT", limit)
        return [(position.decode(), _row(codec.pairs(fields))) for position, fields in rows]

    async def done(self, partition: Partition, positions: Sequence[str]) -> None:
        if positions:
            await self._keys.wire.execute("XDEL", f"{self._keys.partition(partition)}:outbox", *positions)

    async def bury(self, partition: Partition, position: str, row: OutboxRow, cause: str) -> None:
        letter = codec.dumps(
            {"cause": cause, "to": row.to, "kind": row.kind, "id": row.id, "payload": row.payload.decode()}
        )
        await self._keys.wire.script("bury", self._keys.partition(partition), position, letter)


def _row(fields: dict[str, bytes]) -> OutboxRow:
    return OutboxRow(fields["i"].decode(), fields["k"].decode(), fields["t"].decode(), fields["p"])


class RedisProjections:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def pending(self, partition: Partition, limit: int = 64) -> Sequence[Projection]:
        stream = f"{self._keys.partition(partition)}:project"
        rows = await self._keys.wire.execute("XRANGE", stream, "-", "+", "COUNT", limit)
        return [_projection(position.decode(), codec.pairs(fields)) for position, fields in rows]

    async def project(self, partition: Partition, scored: Sequence[Projected]) -> int:
        arguments: list[str | bytes | int | float] = []
        for item in scored:
            mail = item.mail
            arguments += [item.position, item.cid, item.entry_id, item.entry, item.half_life_ms, repr(item.rank_key)]
            arguments += [mail.wake_key, mail.id, codec.line(mail)] if mail else ["", "", ""]
        if not arguments:
            return 0
        return int(await self._keys.wire.script("project", self._keys.partition(partition), *arguments))


def _projection(position: str, fields: dict[str, bytes]) -> Projection:
    relevance = fields["r"].decode()
    return Projection(
        position=position,
        cid=ContinuationId(fields["c"].decode()),
        source=fields["s"].decode(),
        interest_id=fields["i"].decode() or None,
        relevance=float(relevance) if relevance else None,
        payload=fields["p"],
    )


class RedisSignals:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def wait(self, name: str, timeout_ms: int, *others: str) -> bool:
        at = [self._keys.partition(Partition(number)) for number in range(self._keys.partitions)]
        lists = [f"{key}:sig:{each}" for each in (name, *others) for key in at]
        return await self._keys.wire.pop(lists, timeout_ms)

    async def rouse(self, name: str) -> None:
        await self._keys.wire.execute("RPUSH", f"{self._keys.partition(Partition(0))}:sig:{name}", "1")


class RedisRouter:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def route(self, event: Event, partition: Partition, forward_to: Sequence[Partition] = ()) -> Routed:
        head, tail = _mail_halves(event)
        patterns = candidates(event.subject)
        duplicate, matched = await self._keys.wire.script(
            "route",
            self._keys.partition(partition),
            event.id,
            f"E {event.source} {event.key}",
            event.model_dump_json(),
            head,
            tail,
            len(patterns),
            *patterns,
            *forward_to,
        )
        return Routed(bool(duplicate), matched)

    async def redeliver(self, partition: Partition, letter: bytes, to: ContinuationId | None, mail: Mail | None) -> str:
        line = (mail.wake_key, mail.id, codec.line(mail)) if mail else ("", "", "")
        reply = await self._keys.wire.script("redeliver", self._keys.partition(partition), letter, to or "", *line)
        return str(reply.decode())


def _mail_halves(event: Event) -> tuple[bytes, bytes]:
    """The mail about `event`, cut where each receiver's interest id belongs."""
    mail = {
        "id": event.id,
        "kind": "event",
        "sender": event.source,
        "subject": event.subject,
        "correlation": _SPLIT,
        "sent_ms": event.time_ms,
        "cause": event.causation_id,
        "trust": event.taint,
        "hops": event.hops,
        "body": event.model_dump(mode="json"),
    }
    head, _, tail = orjson.dumps(mail).partition(orjson.dumps(_SPLIT)[1:-1])
    return head, tail
