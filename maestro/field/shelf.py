"""The port to kept fields: read where a call is composed, written where data arrive (the projector)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.field.manifest import Freshness
from maestro.field.project import Weighed
from maestro.ids import ContinuationId, TimeMs


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a field has come: events are counted in its partition, in the order in which they were told."""

    told: int = 0
    """Events that were told by now."""
    complete: int = 0
    """All that asked for it and was told up to this event has its place in the field."""
    unscored: int = 0
    """What waits for a score, in all fields of the partition."""
    waited_ms: int = 0
    """How long the oldest of it has waited."""
    looked: int | None = None
    """Events that the field was looked through for what is near its goal; None where nobody looks."""

    @property
    def stale(self) -> bool:
        """True while something that was told may belong into the field and is not there."""
        return self.unscored > 0 or (self.looked is not None and self.looked < self.told)

    @property
    def freshness(self) -> Freshness:
        """The same, as a manifest keeps it."""
        return Freshness(
            told=self.told, complete=self.complete, waited_ms=self.waited_ms, looked=self.looked, stale=self.stale
        )

    def has_all_of(self, earlier: "Mark") -> bool:
        """True when the field has all that was told by `earlier`."""
        return self.complete >= earlier.told and (self.looked is None or self.looked >= earlier.told)


class Shelf(Protocol):
    async def top(self, cid: ContinuationId, n: int, now_ms: TimeMs) -> Sequence[Weighed]:
        """The `n` heaviest entries of that field at `now_ms`, heaviest first; nothing is scored or recomputed here."""
        ...

    async def mark(self, cid: ContinuationId) -> Mark:
        """How far that field has come."""
        ...

    async def ask(self, cid: ContinuationId) -> None:
        """That field will be looked through for what is near its goal; nobody waits for it here."""
        ...
