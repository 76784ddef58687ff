"""Streams: what one client is told, from where it left off, for as long as it stays.

Invariants: every event of the feed that this asker may see is told once, in order, under its id, whoever asks from
wherever; what cannot be told any more is a `gap` with the way on; whoever reads too slowly, or is welcome no more, is
told so and let go. A client's speed holds up nobody else.
What is not here: framing, heartbeats and what a connection's end is (sse-starlette, the server).

Source: spec/06 section 4.
"""

from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.gateway.access import Asker
from maestro.gateway.events import Cursor, Event, events_of
from maestro.gateway.gate import Gate
from maestro.gateway.shapes import Counts
from maestro.gateway.tail import Seen
from maestro.gateway.tidings import EventSeen
from maestro.gateway.wishes import Filter
from maestro.ids import ContinuationId, Partition
from maestro.runtime.verbs import partitions

AGAIN_S = 2.0  # how often it is asked whether whoever listens is still welcome
MOVED_S = 0.5
MOVED_ROWS = 200


@dataclass(slots=True)
class Stream:
    """One client's place in the feed."""

    gate: Gate
    asker: Asker
    only: ContinuationId | None = None
    """Of which continuation alone it tells."""
    cursor: Cursor = field(init=False)
    _live: bool = False
    """It had caught up once; what it falls behind from then on is its own slowness."""

    def __post_init__(self) -> None:
        self.cursor = self.gate.tail.cursor

    async def begin(self, after: str | None) -> EventSeen | None:
        """It goes on behind the event `after`, or from now; the gap, where that cannot be.

        Raises:
            InvalidInput: `after` is no event's id.
        """
        if after is None:
            return None
        asked = Cursor.parse(after, self.gate.at.backend.partitions)
        lost = await self.gate.tail.lost(asked)
        if lost is None:
            self.cursor = asked
            return None
        return await self._gap(lost)

    async def _gap(self, reason: str) -> EventSeen:
        """What came before its place cannot be told; how things are now, and from where it goes on."""
        counts = (await self.counts()).model_dump()
        return EventSeen(id="", event="gap", data={"reason": reason, "cursor": str(self.cursor), "counts": counts})

    async def counts(self) -> Counts:
        """How many continuations it may tell of, in each group."""
        return (await self.gate.directory.counted(Filter(), self.asker.subtree))[0]

    async def next(self, limit: int = 500) -> list[EventSeen]:
        """What comes next, if there is anything; its place moves with it.

        What the store drops while it is being read back is a gap, and nothing behind it is told before.
        """
        before, told = self.cursor, await self._next(limit)
        if self.gate.tail.remembers(before) or (lost := await self.gate.tail.lost(before)) is None:
            return told
        self.cursor = self.gate.tail.cursor
        return [await self._gap(lost)]

    async def _next(self, limit: int) -> list[EventSeen]:
        """A fact half told is told to its end."""
        told: list[EventSeen] = []
        for part in [Partition(self.cursor.part)] if self.cursor.told else partitions(self.gate.at):
            for fact in await self.gate.tail.behind(part, self.cursor.places[part], limit):
                told += self._told(int(part), fact)
                if len(told) >= limit:
                    return told
        return told

    @property
    def is_too_slow(self) -> bool:
        """True when it fell so far behind that what comes next is not remembered here any more."""
        behind = not self.gate.tail.remembers(self.cursor)
        if not behind:
            self._live = True
        return behind and self._live

    def _told(self, part: int, fact: Seen) -> list[EventSeen]:
        events, told = events_of(fact.body), []
        skips = self.cursor.skips(part)
        for number, event in enumerate(events):
            if number < skips:
                continue
            self.cursor = self.cursor.behind(part, fact.position, number, len(events))
            if self._may_see(event):
                data = {**event.data, **({} if event.cid is None else {"row": self._row(event.cid)})}
                told.append(EventSeen(id=str(self.cursor), event=event.name, data=data))
        return told

    def _may_see(self, event: Event) -> bool:
        if event.cid is None:
            return self.only is None and self.asker.subtree is None
        cid = ContinuationId(event.cid)
        return self.only in (None, cid) and self.gate.directory.within(cid, self.asker.subtree)

    def _row(self, cid: str) -> JsonValue:
        line = self.gate.directory.lines.get(ContinuationId(cid))
        return None if line is None else line.row().model_dump(mode="json")

    def moved(self, since: int) -> EventSeen | None:
        """Who began or ended thinking behind that move."""
        lines = self.gate.directory.lines
        moved = [cid for cid in self.gate.tail.moved_since(since) if self._may_see(Event("", cid, {}))]
        rows: list[JsonValue] = [
            lines[cid].row().model_dump(mode="json") for cid in moved[-MOVED_ROWS:] if cid in lines
        ]
        return EventSeen(id="", event="activity", data={"rows": rows}) if rows else None


async def told(gate: Gate, asker: Asker, after: str | None, only: ContinuationId | None = None) -> AsyncIterator[Any]:
    """The events of a stream, as sse-starlette takes them, until its client goes or is let go."""
    stream = Stream(gate, asker, only)
    gap = await stream.begin(after)
    with _present(gate, asker, only):
        yield _framed(await _hello(stream))
        if gap is not None:
            yield _framed(gap)
        asked_at, moved_at, moves = monotonic(), monotonic(), gate.tail.moves
        while True:
            if stream.is_too_slow:
                yield _framed(_bye(stream, "slow"))
                return
            batch = await stream.next()
            for event in batch:
                yield _framed(event)
            if monotonic() - asked_at > AGAIN_S:
                asked_at = monotonic()
                if not await gate.doorkeeper.again(asker):
                    yield _framed(_bye(stream, "revoked"))
                    return
            if gate.tail.moves > moves and monotonic() - moved_at > MOVED_S:
                activity, moves, moved_at = stream.moved(moves), gate.tail.moves, monotonic()
                if activity is not None:
                    yield _framed(activity)
            if not batch:
                await gate.tail.news(MOVED_S if gate.tail.moves > moves else AGAIN_S)


@contextmanager
def _present(gate: Gate, asker: Asker, only: ContinuationId | None) -> Any:
    """Others see that `asker` is there."""
    place = (only, asker.name)
    if only is None:
        gate.present[asker.name] += 1
    else:
        gate.watched[place] += 1  # type: ignore[index]  # only is somebody here
    try:
        yield
    finally:
        if only is None:
            gate.present[asker.name] -= 1
        else:
            gate.watched[place] -= 1  # type: ignore[index]


async def _hello(stream: Stream) -> EventSeen:
    gate = stream.gate
    data: dict[str, JsonValue] = {
        "cursor": str(stream.cursor),
        "now_ms": await gate.at.backend.clock.now_ms(),
        "counts": (await stream.counts()).model_dump(),
        "complete": gate.directory.complete,
    }
    return EventSeen(id="", event="hello", data=data)


def _bye(stream: Stream, reason: str) -> EventSeen:
    return EventSeen(id="", event="bye", data={"reason": reason, "cursor": str(stream.cursor)})


def _framed(event: EventSeen) -> dict[str, str]:
    frame = {"event": event.event, "data": _json(event)}
    return {**frame, "id": event.id} if event.id else frame


def _json(event: EventSeen) -> str:
    return orjson.dumps(event.data).decode()
