"""Ports of the loops that keep ticks flowing: leases, timers, outbox, projections, signals, routing.

Every step is atomic inside one partition and safe to repeat. Waking has two halves: what is *ready* is truth and lives
in the store; a *signal* only rouses whoever sleeps on it, so that a lost signal costs one idle timeout, never a wake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.continuation.mail import Mail
from maestro.field.graph import Graph
from maestro.ids import ContinuationId, EntryId, HolderId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.tick.records import Fact
from maestro.tick.store import OutboxRow

TIMERS, RELAY, PROJECT, PLACE, CLOCK, CALLS = "timers", "relay", "project", "place", "clock", "calls"
GATHER = "gather"
"""Signals beside `ready_signal(pool)`; `place` tells of a ready continuation that wants an actor of its own, `clock`
that a virtual clock was moved, `calls` of a model call that was placed, `gather` of a field that wants to be looked
through. A signal rouses one sleeper: loops of different kinds never sleep on the same one."""
DEDICATED = "dedicated-"
"""A pool of this prefix belongs to one continuation, whose id follows."""


def ready_signal(pool: str) -> str:
    """The signal that rouses idle actors of `pool`."""
    return f"ready:{pool}"


class Leases(Protocol):
    async def expired(self, partition: Partition) -> Sequence[HolderId]:
        """Holders whose lease is over on the store's clock."""
        ...

    async def reclaim(self, holder: HolderId, partition: Partition) -> int:
        """All that `holder` held is ready again under epoch + 1, so that the old holder is fenced; returns how many.

        It is roused by its own name no more: what it was roused for is everybody's.
        """
        ...

    async def minding(self, partition: Partition) -> Mapping[ContinuationId, HolderId]:
        """Who of a partition is held by an actor now, and by which."""
        ...

    async def tell_room(self, pool: str, places: int, most: int) -> None:
        """What a pool has room for now, and at most, is among the counts: `pool_places:POOL`, `pool_most:POOL`."""
        ...


@dataclass(frozen=True, slots=True)
class Fired:
    """What one look at the timers did."""

    count: int
    next_due_ms: TimeMs | None
    now_ms: TimeMs
    lateness_ms: tuple[int, ...] = ()


class Timers(Protocol):
    async def fire(self, partition: Partition, limit: int = 256) -> Fired:
        """Due timers, earliest first and at most `limit`, became mail (or a retry became ready); each fires once."""
        ...


class Outbox(Protocol):
    async def pending(self, partition: Partition, limit: int = 256) -> Sequence[tuple[str, OutboxRow]]:
        """The oldest rows with their positions, in the order of their commits."""
        ...

    async def done(self, partition: Partition, positions: Sequence[str]) -> None:
        """These rows arrived and are gone."""
        ...

    async def bury(self, partition: Partition, position: str, row: OutboxRow, cause: str) -> None:
        """This row can never arrive: it is a dead letter with its cause."""
        ...


@dataclass(frozen=True, slots=True)
class Projection:
    """Something new that a continuation's field has not seen: to be scored, and to wake if it is relevant enough."""

    position: str
    cid: ContinuationId
    source: str
    """`event` or `finding`."""
    interest_id: str | None
    relevance: float | None
    """Score at or above which it wakes; None never wakes."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Projected:
    """A scored projection: the field entry, its place, and the mail if it wakes."""

    position: str
    cid: ContinuationId
    entry_id: str
    entry: bytes
    half_life_ms: int
    rank_key: float
    mail: Mail | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry whose rank is not the engine's."""

    cid: ContinuationId
    half_life_ms: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class Reranked:
    """The same, ranked: nothing else of the entry is another."""

    waiting: Waiting
    entry_id: str
    entry: bytes
    rank_key: float


class Projections(Protocol):
    async def pending(self, partition: Partition, limit: int = 64) -> Sequence[Projection]:
        """The oldest unscored ones."""
        ...

    async def project(self, partition: Partition, scored: Sequence[Projected]) -> int:
        """Entries are in the fields and mail is delivered, once per position; returns how many were new.

        A position whose continuation is gone is dropped.
        """
        ...

    async def degraded(self, partition: Partition, limit: int = 64) -> Sequence[Waiting]:
        """Entries that were ranked while the engine was away, oldest first; those that left their field are none."""
        ...

    async def rerank(self, partition: Partition, ranked: Sequence[Reranked]) -> int:
        """These have the rank that the engine gives them; returns how many. What has changed meanwhile stays."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A field that wants to be looked through for what is near its goal."""

    cid: ContinuationId
    told: int
    """Events that were told by now: when the look ends, the field is complete up to there."""
    kept: str
    """What `gathered` wrote of its last look; empty for none."""


@dataclass(frozen=True, slots=True)
class Shelve:
    """An entry on its way to a shelf."""

    half_life_ms: int
    rank_key: float
    entry_id: str
    entry: bytes


class Gatherings(Protocol):
    """What is needed to look for what nobody subscribed to: the log of events, and the fields that want a look."""

    @property
    def graph(self) -> Graph:
        """What the events of the log are linked by."""
        ...

    async def log(self, partition: Partition, after: str, limit: int = 256) -> Sequence[Fact]:
        """The events after that position (`` for the oldest that is kept), in the order in which they were told."""
        ...

    async def texts(self, partition: Partition, positions: Sequence[str]) -> Mapping[str, bytes]:
        """Those of these events that the log still has."""
        ...

    async def asked(self, partition: Partition, limit: int = 64) -> Sequence[Asked]:
        """The fields that want a look."""
        ...

    async def held(self, cid: ContinuationId, ids: Sequence[EntryId]) -> frozenset[EntryId]:
        """Those of `ids` that are in that field."""
        ...

    async def gathered(self, asked: Asked, kept: str, entries: Sequence[Shelve]) -> int:
        """The look is over, and what it found is on the shelf, where it was not yet; returns how much was new.

        One that has ended is looked through no more.
        """
        ...

    async def open(self, told: str) -> None:
        """From now on fields are looked through; `told` says by what, for people."""
        ...

    async def told(self) -> str | None:
        """By what; None where nobody looks."""
        ...

    async def close(self) -> None:
        """Nobody looks: no field waits for it."""
        ...


class Signals(Protocol):
    async def wait(self, name: str, timeout_ms: int, *others: str) -> bool:
        """True as soon as `name` or one of `others` was signalled in any partition, else False after `timeout_ms`."""
        ...

    async def rouse(self, name: str) -> None:
        """One sleeper on `name` is roused."""
        ...


@dataclass(frozen=True, slots=True)
class Routed:
    duplicate: bool
    matched: int


class Router(Protocol):
    async def route(self, event: Event, partition: Partition, forward_to: Sequence[Partition] = ()) -> Routed:
        """The event is durable here and with all who match here; the same (source, key) again changes nothing.

        Interests without a relevance get mail at once; those with one get a projection. For each partition in
        `forward_to` an outbox row of kind `event` is written in the same step.
        """
        ...

    async def route_all(
        self, events: Sequence[Event], partition: Partition, forward_to: Sequence[Partition] = ()
    ) -> Sequence[Routed]:
        """As `route` for each, in their order, and cheaper together; where it fails, the first of them are routed."""
        ...

    async def redeliver(self, partition: Partition, letter: bytes, to: ContinuationId | None, mail: Mail | None) -> str:
        """`mail` is in the mailbox of `to`, and `letter` is a dead letter no more; without a mail it is only dropped.

        Returns:
            `ok`; `gone` where there is no such letter; else why the mail cannot arrive now, and nothing changed.
        """
        ...
