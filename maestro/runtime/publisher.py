"""Publishing: an acknowledged event is durable at home, with all who match there; the relay carries it on.

What is published while a batch is on its way waits and goes with the next: a flood is carried in few steps, and what
else this process asks of the store waits for one of them, never for the flood.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from maestro.ids import Partition, home_partition
from maestro.mesh.event import Event
from maestro.mesh.schemas import OPEN, EventTypes
from maestro.mesh.source import Published
from maestro.runtime.ports import Routed, Router

AT_ONCE = 64
"""Events of one batch."""


_Asked = tuple[Event, asyncio.Future[Routed]]
"""An event, and who waits for its answer."""


@dataclass(slots=True)
class _Lane:
    """What is on its way to one partition, and what waits for it."""

    waiting: deque[_Asked] = field(default_factory=deque)
    carrying: asyncio.Task[None] | None = None


class MeshPublisher:
    """maestro.mesh.source.Publisher over the router of a store."""

    def __init__(self, router: Router, partitions: int, types: EventTypes = OPEN) -> None:
        self._router = router
        self._partitions = partitions
        self._types = types
        self._lanes: defaultdict[Partition, _Lane] = defaultdict(_Lane)

    async def publish(self, event: Event) -> Published:
        """The event is durable; the same (source, key) again changes nothing.

        Raises:
            UnfitEvent: its type is described otherwise, or must be described and is not.
        """
        self._types.check(event)
        home = home_partition(f"{event.source} {event.key}", self._partitions)
        lane, future = self._lanes[home], asyncio.get_running_loop().create_future()
        lane.waiting.append((event, future))
        if lane.carrying is None:
            lane.carrying = asyncio.create_task(self._carry(home, lane))
        routed = await future
        return Published(event.id, duplicate=routed.duplicate, matched=routed.matched)

    async def _carry(self, home: Partition, lane: _Lane) -> None:
        """Batch after batch, until nobody waits; whoever still does when this is cancelled is too."""
        batch: list[_Asked] = []
        try:
            while lane.waiting:
                batch = [lane.waiting.popleft() for _ in range(min(AT_ONCE, len(lane.waiting)))]
                await self._routed(home, batch)
        finally:
            lane.carrying = None
            for _, future in (*batch, *lane.waiting):
                future.cancel()
            lane.waiting.clear()

    async def _routed(self, home: Partition, batch: Sequence[_Asked]) -> None:
        """Each of `batch` is told what became of it."""
        others = [Partition(number) for number in range(self._partitions) if number != home]
        asked = [future for _, future in batch]
        try:
            answers = await self._router.route_all([event for event, _ in batch], home, others)
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told, and the next batch goes
            for future in (each for each in asked if not each.done()):
                future.set_exception(error)
            return
        for future, routed in zip(asked, answers, strict=True):
            if not future.done():
                future.set_result(routed)
