"""The directory: one line per continuation, in memory, kept up to date from the feed: a hundred thousand list fast.

It is a cache of what the store says, and nothing is decided by it: a row that is handed out was read from the store not
more than STALE_S before. Invariants: each line is in the counts of exactly one group; a page holds what stands behind
the last row of the page before, whatever moved meanwhile.
What is not here: the feed (`maestro.gateway.tail`), and who may see what (`maestro.gateway.gate`).
"""

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog

from maestro.errors import IntegrityError, StoreError
from maestro.gateway.lines import Line, line_of
from maestro.gateway.shapes import ROOTS, Counts, Sort
from maestro.gateway.wishes import Filter
from maestro.ids import ContinuationId, HolderId
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation
from maestro.tick.records import Glance

STALE_S = 1.0
AT_ONCE = 256  # looks that are asked together
BREATH = 4_000  # lines that are gone through before others get their turn
log = structlog.get_logger()

Key = tuple[Any, ContinuationId]
KEYS: dict[Sort, Callable[[Line], Any]] = {
    "updated": lambda line: line.updated_at_ms,
    "created": lambda line: line.created_at_ms,
    "spent": lambda line: line.usd.spent,
    "name": lambda line: (line.name or line.goal).casefold()[:100],
}


@dataclass(slots=True)
class Directory:
    """The lines of one tenant."""

    at: Installation
    lines: dict[ContinuationId, Line] = field(default_factory=dict)
    complete: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """Group -> lines."""
    spent_usd_micros: int = 0
    _orders: dict[Sort, list[Key]] = field(default_factory=dict)
    """Those that were asked for once, sorted."""
    _minded: Mapping[ContinuationId, HolderId] = field(default_factory=dict)

    async def load(self) -> None:
        """Every continuation has a line; the newest have theirs first."""
        for partition in verbs.partitions(self.at):
            cids = list(reversed(await self.at.backend.records.ids(partition)))
            for first in range(0, len(cids), AT_ONCE):
                await self.refresh([cid for cid in cids[first : first + AT_ONCE] if cid not in self.lines])
                await asyncio.sleep(0)  # a store in memory never waits
        self.complete = True

    async def refresh(self, cids: Collection[ContinuationId]) -> list[Line]:
        """The lines of `cids` are as the store says now; those that are there."""
        wanted, found = list(cids), []
        for first in range(0, len(wanted), AT_ONCE):
            stretch = wanted[first : first + AT_ONCE]
            for cid, glance in zip(stretch, await asyncio.gather(*map(self._glance, stretch)), strict=True):
                if glance is None:
                    self._remove(cid)
                else:
                    found.append(self._line(glance))
                    self._put(found[-1])
            if first:
                await asyncio.sleep(0)
        return found

    async def _glance(self, cid: ContinuationId) -> Glance | None:
        return await self.at.backend.records.glance(cid)

    def _line(self, glance: Glance) -> Line:
        try:
            return line_of(glance, self.at.seal, self.at.tenant)
        except IntegrityError as error:
            log.warning("a damaged continuation", cid=glance.cid, error=error.message)
            return Line.damaged(glance, error.message)

    async def fresh(self, cids: Collection[ContinuationId]) -> list[Line]:
        """The lines of `cids`, none of them older than STALE_S."""
        at = monotonic()
        await self.refresh([cid for cid in cids if cid not in self.lines or at - self.lines[cid].seen_at > STALE_S])
        return [self.lines[cid] for cid in cids if cid in self.lines]

    async def mind(self) -> list[ContinuationId]:
        """Who began or ended thinking since the last look; their lines say so."""
        now: dict[ContinuationId, HolderId] = {}
        for partition in verbs.partitions(self.at):
            now |= await self.at.backend.leases.minding(partition)
        moved = [cid for cid in {**self._minded, **now} if self._minded.get(cid) != now.get(cid)]
        self._minded = now
        return [line.cid for line in await self.refresh(moved)]

    def within(self, cid: ContinuationId, subtree: ContinuationId | None) -> bool:
        """True when `cid` is `subtree` or descends from it, or everything is seen."""
        seen: ContinuationId | None = cid
        while subtree is not None and seen is not None and seen != subtree:
            line = self.lines.get(seen)
            seen = None if line is None else line.parent
        return subtree is None or seen == subtree

    def below(self, cid: ContinuationId) -> Iterator[tuple[int, Line]]:
        """`cid` and its descendants with their depths, parents before their children."""
        family = self.lines[cid].root
        children: dict[ContinuationId | None, list[Line]] = {}
        for line in self.lines.values():
            if line.root == family:
                children.setdefault(line.parent, []).append(line)
        open_ = [(0, self.lines[cid])]
        while open_:
            depth, line = open_.pop()
            yield depth, line
            kids = sorted(children.get(line.cid, ()), key=lambda kid: kid.created_at_ms, reverse=True)
            open_ += [(depth + 1, kid) for kid in kids]

    async def chosen(self, asked: Filter, subtree: ContinuationId | None) -> AsyncIterator[Line]:
        """Those that the filter leaves, in no order."""
        fits = self.fits(asked, subtree)
        for place, line in enumerate(list(self.lines.values())):
            if place % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            if fits(line):
                yield line

    async def counted(self, asked: Filter, subtree: ContinuationId | None) -> tuple[Counts, int, int]:
        """Of what the filter leaves: how many in each group whatever its group, how many, what they have spent."""
        if subtree is None and asked == Filter(group=asked.group):
            counts = Counts(**{group: self.counts[group] for group in Counts.model_fields})
            if asked.group is None:
                return counts, len(self.lines), self.spent_usd_micros
        groups: Counter[str] = Counter()
        total = spent = 0
        async for line in self.chosen(asked.model_copy(update={"group": None}), subtree):
            groups[line.group] += 1
            if asked.group in (None, line.group):
                total, spent = total + 1, spent + line.usd.spent
        return Counts(**groups), total, spent

    async def page(
        self,
        asked: Filter,
        subtree: ContinuationId | None,
        order: tuple[Sort, bool],
        behind: Key | None,
        limit: int,
    ) -> list[tuple[Key, Line]]:
        """Up to `limit` lines behind the place `behind`, with their places.

        Args:
            order: by what, and whether the largest stand first.
        """
        fits, (sort, descending) = self.fits(asked, subtree), order
        found: list[tuple[Key, Line]] = []
        for place, key in enumerate(_behind(self._order(sort), behind, descending)):
            if place % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            line = self.lines.get(key[1])
            if line is not None and fits(line):
                found.append((key, line))
                if len(found) == limit:
                    break
        return found

    def fits(self, asked: Filter, subtree: ContinuationId | None) -> Callable[[Line], bool]:
        """Whether a line is one of those that are asked for."""
        wanted = [
            (name, value)
            for name, value in (
                ("group", asked.group),
                ("behaviour", asked.behaviour),
                ("parent", asked.parent),
                ("root", asked.root),
            )
            if value is not None and value != ROOTS
        ]
        roots = asked.parent == ROOTS
        needle = asked.q.casefold() if asked.q else None

        def fit(line: Line) -> bool:
            return (
                all(getattr(line, name) == value for name, value in wanted)
                and (asked.state is None or asked.state in (line.status, line.activity, line.hold))
                and (needle is None or needle in line.text)
                and (subtree is None or self.within(line.cid, subtree))
                and not (roots and line.parent is not None)
            )

        return fit

    def _order(self, sort: Sort) -> list[Key]:
        if sort not in self._orders:
            self._orders[sort] = sorted((KEYS[sort](line), line.cid) for line in self.lines.values())
        return self._orders[sort]

    def _put(self, line: Line) -> None:
        before = self._remove(line.cid)
        self.lines[line.cid] = line
        self.counts[line.group] += 1
        self.spent_usd_micros += line.usd.spent
        if before is not None and before.told == line.told:
            line.told = before.told  # one copy of what did not change
        for sort, order in self._orders.items():
            insort(order, (KEYS[sort](line), line.cid))

    def _remove(self, cid: ContinuationId) -> Line | None:
        line = self.lines.pop(cid, None)
        if line is not None:
            self.counts[line.group] -= 1
            self.spent_usd_micros -= line.usd.spent
            for sort, order in self._orders.items():
                key = (KEYS[sort](line), cid)
                place = bisect_left(order, key)
                if place < len(order) and order[place] == key:
                    del order[place]
        return line


def _behind(order: Sequence[Key], behind: Key | None, descending: bool) -> Iterable[Key]:
    """The places behind `behind`, or all; a copy of a stretch at a time, so that what moves meanwhile does no harm."""
    if descending:
        last = len(order) if behind is None else bisect_left(order, behind)
        while last > 0:
            stretch = order[max(0, last - BREATH) : last]
            yield from reversed(stretch)
            last = min(bisect_left(order, stretch[0]), last - 1)
        return
    first = 0 if behind is None else _after(order, behind)
    while first < len(order):
        stretch = order[first : first + BREATH]
        yield from stretch
        first = _after(order, stretch[-1])


def _after(order: Sequence[Key], key: Key) -> int:
    place = bisect_left(order, key)
    return place + (place < len(order) and order[place] == key)


async def keep_minding(directory: Directory, tell: Callable[[list[ContinuationId]], None], pause_s: float) -> None:
    """`tell` is told who began or ended thinking, until this is cancelled."""
    while True:
        try:
            if moved := await directory.mind():
                tell(moved)
        except StoreError as error:
            log.warning("nobody could be minded", error=error.message)
        await asyncio.sleep(pause_s)
