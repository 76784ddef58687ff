"""The ports of the runtime's loops on Redis."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, HolderId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.mesh.subject import candidates
from maestro.runtime.ports import Fired, Projected, Projection, Reranked, Routed, Waiting
from maestro.tick.store import OutboxRow

ROUTED_AT_ONCE, BYTES_AT_ONCE = 16, 64 * 1024  # of one step: a millisecond, of which a third is the step itself

_Told = tuple[Any, ...]
"""Of one event: its id, what it is known by, its JSON, two pieces of the mail about it, the patterns that match it."""


class RedisLeases:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def expired(self, partition: Partition) -> Sequence[HolderId]:
        reply = await self._keys.wire.script("expired", self._keys.partition(partition))
        return [HolderId(holder.decode()) for holder in reply]

    async def minding(self, partition: Partition) -> Mapping[ContinuationId, HolderId]:
        held = codec.pairs(await self._keys.wire.script("minding", self._keys.partition(partition)))
        return {ContinuationId(cid): HolderId(holder.decode()) for cid, holder in held.items()}

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

    async def degraded(self, partition: Partition, limit: int = 64) -> Sequence[Waiting]:
        reply = await self._keys.wire.script("degraded", self._keys.partition(partition), limit)
        rows = [reply[i : i + 3] for i in range(0, len(reply), 3)]
        return [Waiting(ContinuationId(cid.decode()), int(half_life_ms), entry) for cid, half_life_ms, entry in rows]

    async def rerank(self, partition: Partition, ranked: Sequence[Reranked]) -> int:
        arguments: list[str | bytes | int] = []
        for row in ranked:
            of = row.waiting
            arguments += [of.cid, of.half_life_ms, row.entry_id, of.entry, row.entry, repr(row.rank_key)]
        if not arguments:
            return 0
        return int(await self._keys.wire.script("rerank", self._keys.partition(partition), *arguments))


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
        return (await self.route_all([event], partition, forward_to))[0]

    async def route_all(
        self, events: Sequence[Event], partition: Partition, forward_to: Sequence[Partition] = ()
    ) -> Sequence[Routed]:
        key, forwards = self._keys.partition(partition), (len(forward_to), *forward_to)
        told = [_told(event) for event in events]
        routed: list[Routed] = []
        while len(routed) < len(told):
            some = _some(told[len(routed) :])
            reply = await self._keys.wire.script("route", key, *forwards, *(part for each in some for part in each))
            routed += [Routed(bool(duplicate), matched) for duplicate, matched in reply]
        return routed

    async def redeliver(self, partition: Partition, letter: bytes, to: ContinuationId | None, mail: Mail | None) -> str:
        line = (mail.wake_key, mail.id, codec.line(mail)) if mail else ("", "", "")
        reply = await self._keys.wire.script("redeliver", self._keys.partition(partition), letter, to or "", *line)
        return str(reply.decode())


def _some(told: Sequence[_Told]) -> Sequence[_Told]:
    """The first of `told`, as many as go in one step: nobody waits longer for a flood than for one large event."""
    size = 0
    for count, each in enumerate(told[:ROUTED_AT_ONCE]):
        size += len(each[2])
        if count and size > BYTES_AT_ONCE:
            return told[:count]
    return told[:ROUTED_AT_ONCE]


def _told(event: Event) -> _Told:
    """What the script is told of `event`: the mail about it lacks the receiver's interest, and the event."""
    body, patterns = event.model_dump_json(), candidates(event.subject)
    mail = {
        "id": event.id,
        "kind": "event",
        "sender": event.source,
        "subject": event.subject,
        "sent_ms": event.time_ms,
        "cause": event.causation_id,
        "trust": event.taint,
        "hops": event.hops,
        "correlation": "",
    }
    head = orjson.dumps(mail)[: -len('"}')]
    return (event.id, f"E {event.source} {event.key}", body, head, '","body":', len(patterns), *patterns)
