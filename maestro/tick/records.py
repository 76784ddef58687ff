"""The reading side of the store: what the client, the CLI and the pane stand on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.budget.accounts import AccountPath
from maestro.budget.ledger import Ledger
from maestro.continuation.lifecycle import Hold
from maestro.ids import ContinuationId, Partition, TimeMs


@dataclass(frozen=True, slots=True)
class Frost:
    """Who froze it, when and why; `scope` says how much: one, a tree or all."""

    by: str
    at_ms: TimeMs
    scope: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """At which node one wakes: until it is unpinned, or once. `home` is the pool that it belongs to without it."""

    node: str
    stays: bool
    home: str


@dataclass(frozen=True, slots=True)
class Glance:
    """One continuation as it stands in the store, unopened."""

    cid: ContinuationId
    checkpoint: bytes
    epoch: int
    rev: int
    tries: int
    holder: str | None
    ready_since_ms: TimeMs | None
    wake_keys: tuple[str, ...]
    unread: int
    error: str | None
    """Why the last try of the open tick failed."""
    frozen: bool
    ledger: Ledger
    last_holder: str | None = None
    """Who holds it, or held it last."""
    frost: Frost | None = None
    """What freezes it: its own freezing, or that of everything."""
    parent: ContinuationId | None = None
    """Whose child it is now; its checkpoint says so from its next tick on."""
    hold: Hold | None = None
    """Why no mail wakes it; `error` says more where it wants code."""
    moved_to: str | None = None
    """Where it lives now, when that is another store."""
    moved_by: str | None = None
    """By which export it left."""
    account: AccountPath | None = None
    """What has lent its family what it has."""
    pin: Pin | None = None
    """Where it has to wake."""


@dataclass(frozen=True, slots=True)
class Living:
    """Those of a stretch of continuations that have not ended, unopened."""

    looked_at: int
    """How long the stretch was; 0 behind the last continuation."""
    checkpoints: tuple[tuple[ContinuationId, bytes], ...]
    held: frozenset[ContinuationId] = frozenset()
    """Who of them is held, for whatever reason."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry of the feed, the public record."""

    position: str
    body: bytes


class Records(Protocol):
    async def glance(self, cid: ContinuationId) -> Glance | None:
        """The continuation in one consistent look, or None."""
        ...

    async def ids(self, partition: Partition) -> Sequence[ContinuationId]:
        """All continuations of a partition, oldest first."""
        ...

    async def living(self, partition: Partition, first: int, limit: int = 500) -> Living:
        """Of the continuations first..first+limit of a partition, oldest first, those that have not ended."""
        ...

    async def named(self, name: str) -> ContinuationId | None: ...

    async def log(self, cid: ContinuationId, first: int = 0, last: int = -1) -> Sequence[tuple[TimeMs, bytes]]:
        """Records first..last (inclusive, negative from the end), each with the time of its commit."""
        ...

    async def findings(self, root: ContinuationId) -> Sequence[bytes]: ...

    async def waiting(self, partition: Partition) -> Mapping[ContinuationId, bytes]:
        """What people are asked: continuation -> its question or approval, as JSON."""
        ...

    async def feed(self, partition: Partition, after: str = "0-0", limit: int = 256) -> Sequence[Fact]: ...

    async def span(self, partition: Partition) -> tuple[str, str]:
        """The positions of the oldest fact that the feed has kept, and of the newest; "0-0" twice without any."""
        ...

    async def events(self, partition: Partition, limit: int = 100) -> Sequence[bytes]:
        """The newest events, newest first."""
        ...

    async def dead_letters(self, partition: Partition, limit: int = 100) -> Sequence[bytes]: ...

    async def counts(self, partition: Partition) -> Mapping[str, int]:
        """Totals since the store began (fenced, adopted, committed ...), depths now (ready:POOL, held:HOLDER ...)."""
        ...
