"""How fast one asker may ask: a bucket of requests that fills again, one for each.

Invariant: one that asks too fast takes nothing from others.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

REMEMBERED = 10_000  # askers; the one that has been quiet for longest is forgotten, and has a full bucket again


class Pace:
    """Counts for one process."""

    def __init__(self, per_second: float = 100, at_once: int = 300, now: Callable[[], float] = monotonic) -> None:
        self._per_second, self._at_once, self._now = per_second, at_once, now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, asker: str) -> int:
        """0 where it may ask now, which is counted; else after how many seconds it may."""
        at = self._now()
        left, since = self._buckets.pop(asker, (float(self._at_once), at))
        left = min(self._at_once, left + (at - since) * self._per_second)
        allowed = left >= 1
        self._buckets[asker] = (left - allowed, at)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) / self._per_second))
