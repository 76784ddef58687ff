"""Whoever cannot be given an actor of its own: tried again a few times, then held with the reason; others go on.

What cannot even be described (a node whose name makes no actor's name) is held at once. A person sees it in `maestro
list` and `why`, and lets it go with `thaw`; what starts again is tried as if nothing had been.

Not here: who is placed, and where (`actors.placing`).
"""

from collections import Counter
from collections.abc import Callable
from time import monotonic

import structlog
from ray.exceptions import RayActorError, RayError

from actors.exits import classify
from maestro.errors import Conflict
from maestro.ids import HolderId
from maestro.runtime import residence
from maestro.runtime.verbs import Installation

TRIES = 3
REST_S = 10.0  # what it lacked will hardly be there a second later

log = structlog.get_logger()


class Aside:
    """Those whose actor did not start, by the pool of one continuation that they are ready in."""

    def __init__(self, at: Installation, holder: HolderId, now: Callable[[], float] = monotonic) -> None:
        self._at = at
        self._holder = holder
        self._now = now
        self._tries: Counter[str] = Counter()
        self._rests: dict[str, float] = {}

    def rests(self, pool: str) -> bool:
        """True while it is too early to try that one again."""
        return self._now() < self._rests.get(pool, 0.0)

    def started(self, pool: str) -> None:
        """Nothing is held against it any more."""
        self._tries.pop(pool, None)
        self._rests.pop(pool, None)

    async def failed(self, pool: str, error: Exception) -> None:
        """The reason is told, and that one rests, or is held; not where its supervisor is away, or it runs already."""
        if isinstance(error, Conflict | RayActorError):  # it runs already, or nobody starts anybody now
            log.warning("not placed", pool=pool, error=str(error)[:300])
            return
        self._tries[pool] += 1
        self._rests[pool] = self._now() + REST_S
        why = classify(error)[1]
        log.error("its own actor does not start", pool=pool, tries=self._tries[pool], error=why)
        if self._tries[pool] >= TRIES or not isinstance(error, RayError):
            await residence.hold_unstartable(self._at, pool, why, self._holder)
            self.started(pool)
