"""The reading side of the store, and the few writes of people: what the client, the CLI and the pane stand on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.tick.store import Birth


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

    async def named(self, name: str) -> ContinuationId | None: ...

    async def log(self, cid: ContinuationId, first: int = 0, last: int = -1) -> Sequence[tuple[TimeMs, bytes]]:
        """Records first..last (inclusive, negative from the end), each with the time of its commit."""
        ...

    async def findings(self, root: ContinuationId) -> Sequence[bytes]: ...

    async def waiting(self, partition: Partition) -> Mapping[ContinuationId, bytes]:
        """What people are asked: continuation -> its question or approval, as JSON."""
        ...

    async def feed(self, partition: Partition, after: str = "0-0", limit: int = 256) -> Sequence[Fact]: ...

    async def events(self, partition: Partition, limit: int = 100) -> Sequence[bytes]:
        """The newest events, newest first."""
        ...

    async def dead_letters(self, partition: Partition, limit: int = 100) -> Sequence[bytes]: ...

    async def counts(self, partition: Partition) -> Mapping[str, int]:
        """Totals since the store began (fenced, adopted, committed ...), depths now (ready:POOL, outbox, timers)."""
        ...


class Steering(Protocol):
    async def rebudget(self, cid: ContinuationId, more: BudgetVector, less: BudgetVector, key: str) -> Ledger:
        """The grant changed, once per `key`; a continuation that waits on budget gets GRANTED mail with it.

        Raises:
            BudgetExceededError: `less` takes back more than is free.
        """
        ...

    async def fork(self, source: ContinuationId, birth: Birth) -> bool:
        """The fork exists, and its grant has moved from what `source` has free; False when it did exist already.

        Raises:
            BudgetExceededError: the grant is more than `source` has free.
        """
        ...

    async def freeze(self, cid: ContinuationId, frozen: bool) -> None:
        """While frozen nothing wakes it, mail and timers queue; thawed, it is ready if it was or would be by now."""
        ...

    async def advance(self, by_ms: int) -> TimeMs:
        """The virtual clock moved forward, and whoever waits for a time is roused; returns the time now.

        Raises:
            InvalidInput: the store's clock is not virtual, or the step is negative.
        """
        ...
