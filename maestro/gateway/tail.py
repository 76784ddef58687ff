"""The tail of the feed: one reader per process, from which every stream is told; first the directory is up to date.

Invariants: whoever is told of a fact finds a line in the directory, and findings, that are not older; a fact is told at
its position and in the order of its partition; what is older than the tail remembers is read from the store, as long
as that keeps it.
What is not here: what of it a client is told (`maestro.gateway.events`), and to whom (`maestro.gateway.streams`).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from maestro.errors import StoreError
from maestro.gateway.beginnings import Beginnings
from maestro.gateway.directory import Directory
from maestro.gateway.events import START, Cursor, order_of
from maestro.gateway.found import Discoveries
from maestro.ids import ContinuationId, Partition
from maestro.runtime.verbs import Installation, partitions
from maestro.tick.records import Fact

BATCH = 1_000
REMEMBERED = 20_000  # facts of each partition; a stream that is further behind has to come again
MOVED_REMEMBERED = 2_000
POLL_S = 0.1
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seen:
    """A fact, read."""

    position: str
    body: dict[str, Any]


@dataclass(slots=True)
class Tail:
    """How far the feeds were read, and the last of what was read."""

    at: Installation
    directory: Directory
    found: Discoveries
    cursor: Cursor = field(init=False)
    read: int = 0
    """Facts since it began."""
    moves: int = 0
    """How often somebody began or ended thinking since it began."""
    beginnings: Beginnings = field(init=False)
    _ring: list[deque[Seen]] = field(init=False)
    _floor: list[str] = field(init=False)
    """Behind which position the ring of each partition is whole."""
    _moved: deque[tuple[int, ContinuationId]] = field(default_factory=lambda: deque(maxlen=MOVED_REMEMBERED))
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _stepping: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.cursor = Cursor((START,) * self.at.backend.partitions)
        self.beginnings = Beginnings(self.at)
        self._ring = [deque() for _ in self.cursor.places]
        self._floor = list(self.cursor.places)

    async def begin(self) -> None:
        """What comes from now on is read; what came before, only for whoever asks for it."""
        await self.beginnings.begin()
        newest = [(await self.at.backend.records.span(p))[1] for p in partitions(self.at)]
        self.cursor, self._floor = Cursor(tuple(newest)), newest

    async def step(self) -> int:
        """What came since is read, and told; returns how many facts that were."""
        async with self._stepping:
            return await self._step()

    async def _step(self) -> int:
        count = 0
        for part in partitions(self.at):
            facts = await self.at.backend.records.feed(part, self.cursor.places[part], BATCH)
            if not facts:
                continue
            if self.cursor.places[part] == START:
                await self.beginnings.heard(part, facts[0].position)
            seen = [_read(fact) for fact in facts]
            cids = dict.fromkeys(ContinuationId(cid) for one in seen for cid in _about(one.body))
            await self.directory.refresh(list(cids))
            for one in seen:
                self.found.heard(one.body)
            self._remember(part, seen)
            count += len(seen)
        if count:
            self.read += count
            self._ring_the_bell()
        return count

    async def run(self, pause_s: float = POLL_S) -> None:
        """The tail follows the feed until this is cancelled; a store that is away is asked again."""
        while True:
            try:
                count = await self.step()
            except StoreError as error:
                log.warning("the feed was not read", error=error.message)
                count = 0
            await asyncio.sleep(0 if count >= BATCH else pause_s)

    def moved(self, cids: Sequence[ContinuationId]) -> None:
        """These began or ended thinking."""
        for cid in cids:
            self.moves += 1
            self._moved.append((self.moves, cid))
        self._ring_the_bell()

    def moved_since(self, move: int) -> list[ContinuationId]:
        """Who began or ended thinking behind that move."""
        return list(dict.fromkeys(cid for number, cid in self._moved if number > move))

    async def news(self, timeout_s: float) -> None:
        """Returns when there is something new, or after `timeout_s`."""
        bell = self._news
        try:
            async with asyncio.timeout(timeout_s):
                await bell.wait()
        except TimeoutError:
            return

    def has_forgotten(self, part: Partition, position: str) -> bool:
        """True when what stands behind `position` is not all remembered here any more."""
        return order_of(position) < order_of(self._floor[part])

    def floor(self, part: Partition) -> str:
        """Behind which position all is remembered here."""
        return self._floor[part]

    async def behind(self, part: Partition, position: str, limit: int = BATCH) -> Sequence[Seen]:
        """The facts behind `position`, oldest first, as far as they were told here."""
        if self.has_forgotten(part, position):
            end = order_of(self.cursor.places[part])
            facts = await self.at.backend.records.feed(part, position, limit)
            return [_read(fact) for fact in facts if order_of(fact.position) <= end]
        place, found = order_of(position), []
        for one in reversed(self._ring[part]):
            if order_of(one.position) <= place:
                break
            found.append(one)
        return found[::-1][:limit]

    def remembers(self, cursor: Cursor) -> bool:
        """True when all that came behind `cursor` can be told without the store."""
        return not any(self.has_forgotten(part, cursor.places[part]) for part in partitions(self.at))

    async def lost(self, cursor: Cursor) -> str | None:
        """Why a client cannot be told all that came behind `cursor`: `trimmed` or `future`; None where it can."""
        for part in partitions(self.at):
            place = order_of(cursor.places[part])
            oldest, newest = await self.at.backend.records.span(part)
            if place > order_of(newest):
                return "future"
            if place != order_of(START) and place < order_of(oldest):
                return "trimmed"
            if place == order_of(START) and self.beginnings.is_gone(part, oldest):
                return "trimmed"
        return None

    def _remember(self, part: Partition, seen: Sequence[Seen]) -> None:
        ring = self._ring[part]
        ring.extend(seen)
        while len(ring) > REMEMBERED:
            self._floor[part] = ring.popleft().position
        self.cursor = self.cursor.at(part, seen[-1].position)

    def _ring_the_bell(self) -> None:
        bell, self._news = self._news, asyncio.Event()
        bell.set()


def _read(fact: Fact) -> Seen:
    return Seen(fact.position, orjson.loads(fact.body))


def _about(fact: dict[str, Any]) -> list[str]:
    """Whose lines a fact changes: whom it is about, and its parent, whose children and money it touches."""
    return [str(fact[name]) for name in ("cid", "parent", "to", "from") if _is_id(fact.get(name))]


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) > 22 and value[22] == "-"
