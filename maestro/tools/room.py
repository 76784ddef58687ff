"""Room for what tools return: how many bytes of artifacts a family and a tenant keep, and who refuses what is beyond.

    RoomyTools(workers, room, limits)       a ToolRunner that asks for room before it hands a large result on

Invariants: content is counted once per family, however often it is returned; what may be done only once (keyed, unsafe)
is kept in any case, since a result that is refused cannot be had again. Nothing is evicted: an artifact stays as long
as a log tells of it, and its bytes are free again when `maestro sweep` has dropped it.
What is not counted: a result that the cache gave, where another family made it.

Source: spec/04 section 10; PROMISES 5.5 (bytes per tenant), F20.
"""

from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from maestro.errors import ArtifactsFull
from maestro.ids import ContinuationId, Partition
from maestro.tools.calls import Order, ToolRunner
from maestro.tools.results import made_of
from maestro.tools.spec import SideEffect

ANYHOW = (SideEffect.KEYED, SideEffect.UNSAFE)
"""What is not done again for the sake of its result."""
SPARED_MS = 24 * 3_600_000
"""So long what was asked room for counts though it is not there: it is about to be written."""
LOOKED_MS = 60_000
"""How often a full family is gone through for what was swept."""


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How much is kept."""

    family_bytes: int
    tenant_bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """What came of asking."""

    granted: bool
    family_bytes: int
    """What its family keeps now, this one included where it was granted."""
    partition_bytes: int


@dataclass(frozen=True, slots=True)
class RoomUse:
    """What is kept: of a partition, or of a tenant."""

    size_bytes: int = 0
    artifacts: int = 0
    """Contents; one that several families of a partition keep is one."""

    def __add__(self, other: "RoomUse") -> "RoomUse":
        return RoomUse(self.size_bytes + other.size_bytes, self.artifacts + other.artifacts)

    def told(self) -> dict[str, int]:
        return {"bytes": self.size_bytes, "artifacts": self.artifacts}


class ArtifactRoom(Protocol):
    """The books of one tenant: which content is counted where."""

    async def take(
        self, cid: ContinuationId, name: str, size_bytes: int, limits: RoomLimits, anyhow: bool = False
    ) -> Room:
        """The content is counted in the family of `cid` if there is room, or `anyhow`; once counted, it is free.

        A tenant's bytes are shared out evenly to its partitions. Where there is no room, what was swept meanwhile is
        let go of first, once in LOOKED_MS.
        """
        ...

    async def used(self, partition: Partition) -> RoomUse:
        """What is counted there now, of all families together."""
        ...


class RoomyTools:
    """maestro.tools.calls.ToolRunner that keeps to the limits."""

    def __init__(self, runner: ToolRunner, room: ArtifactRoom, limits: RoomLimits) -> None:
        self._runner = runner
        self._room = room
        self._limits = limits

    async def run(self, order: Order) -> JsonValue:
        """What the tool returned.

        Raises:
            ArtifactsFull: there is no room for it; the tool may be used again without harm.
        """
        result = await self._runner.run(order)
        made = made_of(result, order.tool.name, "untrusted")
        if made is None:
            return result
        artifact, body = made
        cid = ContinuationId(order.idempotency_key.partition(":")[0])
        anyhow = order.tool.spec.side_effect in ANYHOW
        room = await self._room.take(cid, artifact.id, len(body), self._limits, anyhow)
        if not room.granted:
            told = f"no room for {len(body)} bytes: its family keeps {room.family_bytes} of {self._limits.family_bytes}"
            raise ArtifactsFull(
                f"{order.tool.name}: {told}",
                hint="ask for less, or raise MAESTRO_ARTIFACT_MIB_PER_FAMILY or _PER_TENANT",
            )
        return result
