"""Who is next, when more calls wait than may be under way: opus before sonnet before haiku, and nobody starves.

Invariant: a waiting call is overtaken by at most `YIELDS[tier]` calls that came later, whatever keeps coming.

Source: spec/05 section 3, priorities P0, P1, P2.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count

from maestro.policy.gradient import Tier

YIELDS: Mapping[Tier, int] = {Tier.OPUS: 0, Tier.SONNET: 16, Tier.HAIKU: 64}
"""How many later calls a call of the tier lets pass."""


class Lanes:
    """At most `slots` calls at once; the others wait in the order of tier and arrival."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._arrivals = count()
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self, tier: Tier) -> AsyncIterator[None]:
        """A slot is held inside the block."""
        await self._take(tier)
        try:
            yield
        finally:
            self._give_back()

    @property
    def waiting(self) -> int:
        return sum(1 for *_, turn in self._waiting if not turn.done())

    async def _take(self, tier: Tier) -> None:
        arrival = next(self._arrivals)
        if self._free > 0:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (arrival + YIELDS[tier], YIELDS[tier], arrival, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            raise

    def _give_back(self) -> None:
        """The slot goes to whoever is next, or is free."""
        while self._waiting:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
