"""Ports of the loops that keep ticks flowing: leases, timers, outbox, projections, signals, routing.

Every step is atomic inside one partition and safe to repeat. Waking has two halves: what is *ready* is truth and lives
in the store; a *signal* only rouses whoever sleeps on it, so that a lost signal costs one idle timeout, never a wake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, HolderId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.tick.store import OutboxRow

TIMERS, RELAY, PROJECT, PLACE, CLOCK, CALLS = "timers", "relay", "project", "place", "clock", "calls"
"""Signals beside `ready_signal(pool)`; `place` tells of a ready continuation that wants an actor of its own, `clock`
that a virtual clock was moved, `calls` of a model call that was placed. A signal rouses one sleeper: loops of different
kinds never sleep on the same one."""
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


class Projections(Protocol):
    async def pending(self, partition: Partition, limit: int = 64) -> Sequence[Projection]:
        """The oldest unscored ones."""
        ...

    async def project(self, partition: Partition, scored: Sequence[Projected]) -> int:
        """Entries are in the fields and mail is delivered, once per position; returns how many were new.

        A position whose continuation is gone is dropped.
        """
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

    async def redeliver(self, partition: Partition, letter: bytes, to: ContinuationId | None, mail: Mail | None) -> str:
        """`mail` is in the mailbox of `to`, and `letter` is a dead letter no more; without a mail it is only dropped.

        Returns:
            `ok`; `gone` where there is no such letter; else why the mail cannot arrive now, and nothing changed.
        """
        ...
