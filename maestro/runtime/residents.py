"""Checkpoints of those that were here last: kept for a while, and the least recently used one goes first.

Invariants: never more than `most` and never more than `most_bytes`, whatever comes; nothing is kept beyond its time.
Not here: whether what is kept is still the truth. The store says so at each adoption (`maestro.tick.linger`).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from maestro.ids import ContinuationId, Epoch

MOST, MOST_BYTES = 64, 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Resident:
    """A checkpoint as a commit left it."""

    epoch: Epoch
    """Of that commit."""
    checkpoint: bytes
    until: float


class Residents:
    """What one process keeps.

    Args:
        linger_ms: how long; 0 keeps nothing.
        clock: seconds that only rise.
    """

    def __init__(
        self, linger_ms: int, most: int = MOST, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = monotonic
    ) -> None:
        self._linger_s = linger_ms / 1000
        self._most, self._most_bytes, self._clock = most, most_bytes, clock
        self._kept: OrderedDict[ContinuationId, Resident] = OrderedDict()
        self._bytes = 0

    def resident(self, epoch: Epoch, checkpoint: bytes) -> Resident:
        """One that would be kept from now on."""
        return Resident(epoch, checkpoint, self._clock() + self._linger_s)

    def keep(self, cid: ContinuationId, resident: Resident) -> None:
        """It is the most recent one; what there is no room for has gone."""
        self.drop(cid)
        self._kept[cid] = resident
        self._bytes += len(resident.checkpoint)
        while self._kept and (len(self._kept) > self._most or self._bytes > self._most_bytes):
            self.drop(next(iter(self._kept)))

    def drop(self, cid: ContinuationId) -> None:
        """It is not kept."""
        gone = self._kept.pop(cid, None)
        if gone is not None:
            self._bytes -= len(gone.checkpoint)

    def now(self) -> Mapping[ContinuationId, Resident]:
        """Those whose time is not over."""
        now = self._clock()
        for cid in [cid for cid, kept in self._kept.items() if kept.until <= now]:
            self.drop(cid)
        return dict(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
