"""Publishing: an acknowledged event is durable at home, with all who match there; the relay carries it on."""

from maestro.ids import Partition, home_partition
from maestro.mesh.event import Event
from maestro.mesh.schemas import OPEN, EventTypes
from maestro.mesh.source import Published
from maestro.runtime.ports import Router


class MeshPublisher:
    """maestro.mesh.source.Publisher over the router of a store."""

    def __init__(self, router: Router, partitions: int, types: EventTypes = OPEN) -> None:
        self._router = router
        self._partitions = partitions
        self._types = types

    async def publish(self, event: Event) -> Published:
        """The event is durable; the same (source, key) again changes nothing.

        Raises:
            UnfitEvent: its type is described otherwise, or must be described and is not.
        """
        self._types.check(event)
        home = home_partition(f"{event.source} {event.key}", self._partitions)
        others = [Partition(number) for number in range(self._partitions) if number != home]
        routed = await self._router.route(event, home, others)
        return Published(event.id, duplicate=routed.duplicate, matched=routed.matched)
