"""Reading the field in a tick: its top as edits show it, and how far it had come.

Invariants: the first reading of a tick may wait for what was told before it, no later one does; what is read of others'
words is told to whoever keeps the taint of the tick.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from maestro.continuation.edits import Edits
from maestro.field.arrange import OFFERED, arranged
from maestro.field.editing import Reading, overridden
from maestro.field.manifest import Freshness
from maestro.field.project import Weighed
from maestro.field.shelf import Mark, Shelf
from maestro.ids import ContinuationId, TimeMs
from maestro.tick.freshness import fresh


@dataclass(slots=True)
class FieldReader:
    """The field of one continuation, in one tick."""

    shelf: Shelf
    cid: ContinuationId
    now_ms: TimeMs
    wait_ms: int
    tell_taint: Callable[[], None]
    """Called when something untrusted was read."""
    _mark: Mark | None = field(default=None, init=False)

    @property
    def freshness(self) -> Freshness | None:
        """How far the field had come when it was first read; None before that."""
        return None if self._mark is None else self._mark.freshness

    async def top(self, n: int) -> Sequence[Weighed]:
        """The heaviest, without any edit."""
        return self._noted(await self.shelf.top(self.cid, n, self.now_ms))

    async def read(self, n: int, edits: Edits) -> Reading:
        """The heaviest that are worth reading, as the edits show them."""
        if self._mark is None:
            self._mark = await fresh(self.shelf, self.cid, self.wait_ms)
        offered = await self.shelf.top(self.cid, OFFERED * n + len(edits), self.now_ms)
        read = overridden(offered, edits, self.now_ms)
        return replace(read, shown=tuple(self._noted(arranged(read.shown, n))))

    def _noted(self, shown: Sequence[Weighed]) -> Sequence[Weighed]:
        if any(weighed.entry.taint == "untrusted" for weighed in shown):
            self.tell_taint()
        return shown
