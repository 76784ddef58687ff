"""All ports of a store in memory, bound to one set of partitions."""

from dataclasses import fields

from maestro.adapters.memory.accounts import MemoryAccounts
from maestro.adapters.memory.alarms import MemoryAlarms
from maestro.adapters.memory.audit import MemoryAudit
from maestro.adapters.memory.blocks import MemoryBlocks
from maestro.adapters.memory.claims import MemoryClaims
from maestro.adapters.memory.clock import ReadableClock, SystemClock
from maestro.adapters.memory.gatherings import MemoryGatherings
from maestro.adapters.memory.identity import MemoryIdentity
from maestro.adapters.memory.loops import MemoryLeases, MemoryOutbox, MemoryProjections, MemoryRouter, MemoryTimers
from maestro.adapters.memory.moves import MemoryMoves
from maestro.adapters.memory.nodes import MemoryNodes
from maestro.adapters.memory.notices import MemoryNotices
from maestro.adapters.memory.pieces import MemoryPieces
from maestro.adapters.memory.placements import MemoryPlacements
from maestro.adapters.memory.records import MemoryRecords
from maestro.adapters.memory.register import MemoryRegister
from maestro.adapters.memory.room import MemoryArtifactRoom
from maestro.adapters.memory.shelf import MemoryShelf, MemorySources
from maestro.adapters.memory.signals import MemorySignals
from maestro.adapters.memory.state import Memory, PartitionState
from maestro.adapters.memory.steering import MemorySteering
from maestro.adapters.memory.store import MemoryJournals, MemoryStore
from maestro.adapters.memory.tools import MemoryToolRecords
from maestro.ids import DEFAULT_TENANT, TenantId
from maestro.runtime.backend import Backend


class MemoryBackend(Backend):
    """A whole store that lives as long as this value; with a ManualClock its time is virtual."""

    def __init__(
        self, partitions: int = 1, clock: ReadableClock | None = None, tenant: TenantId = DEFAULT_TENANT
    ) -> None:
        whole = backend_over(empty_memory(partitions, clock, tenant), tenant)
        super().__init__(**{field.name: getattr(whole, field.name) for field in fields(Backend)})


def empty_memory(partitions: int = 1, clock: ReadableClock | None = None, tenant: TenantId = DEFAULT_TENANT) -> Memory:
    """What a new store holds: nothing, on so many partitions."""
    signals, clock = MemorySignals(), clock or SystemClock()
    return Memory([PartitionState(clock, signals, tenant) for _ in range(partitions)])


def backend_over(memory: Memory, tenant: TenantId = DEFAULT_TENANT) -> Backend:
    """Every port of `memory`; whoever made it may look into it."""
    first = memory.partitions[0]
    return Backend(
        tenant=tenant,
        partitions=len(memory.partitions),
        clock=first.clock,
        store=MemoryStore(memory),
        journals=MemoryJournals(memory),
        leases=MemoryLeases(memory),
        timers=MemoryTimers(memory),
        outbox=MemoryOutbox(memory),
        projections=MemoryProjections(memory),
        signals=first.signals,
        router=MemoryRouter(memory),
        records=MemoryRecords(memory),
        steering=MemorySteering(memory),
        shelf=MemoryShelf(memory),
        gatherings=MemoryGatherings(memory),
        sources=MemorySources(),
        blocks=MemoryBlocks(memory),
        moves=MemoryMoves(memory),
        claims=MemoryClaims(memory),
        notices=MemoryNotices(memory),
        nodes=MemoryNodes(memory),
        identity=MemoryIdentity(memory),
        placements=MemoryPlacements(memory),
        pieces=MemoryPieces(memory),
        alarms=MemoryAlarms(memory),
        accounts=MemoryAccounts(memory),
        tools=MemoryToolRecords(memory),
        room=MemoryArtifactRoom(memory),
        register=MemoryRegister(memory),
        audit=MemoryAudit(memory),
        close=_nothing_to_close,
    )


async def _nothing_to_close() -> None:
    """A store in memory holds no connection."""
