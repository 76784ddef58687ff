"""The port to kept fields: read where a call is composed, written where data arrive (the projector)."""

from collections.abc import Sequence
from typing import Protocol

from maestro.field.project import Weighed
from maestro.ids import ContinuationId, TimeMs


class Shelf(Protocol):
    async def top(self, cid: ContinuationId, n: int, now_ms: TimeMs) -> Sequence[Weighed]:
        """The `n` heaviest entries of that field at `now_ms`, heaviest first; nothing is scored or recomputed here."""
        ...
