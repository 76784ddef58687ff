"""All ports of a store in memory, bound to one set of partitions."""

from maestro.adapters.memory.clock import ReadableClock, SystemClock
from maestro.adapters.memory.loops import MemoryLeases, MemoryOutbox, MemoryProjections, MemoryRouter, MemoryTimers
from maestro.adapters.memory.records import MemoryRecords, MemorySteering
from maestro.adapters.memory.shelf import MemoryShelf, MemorySources
from maestro.adapters.memory.signals import MemorySignals
from maestro.adapters.memory.state import Memory, PartitionState
from maestro.adapters.memory.store import MemoryJournals, MemoryStore
from maestro.ids import DEFAULT_TENANT, TenantId
from maestro.runtime.backend import Backend


class MemoryBackend(Backend):
    """A whole store that lives as long as this value; with a ManualClock its time is virtual."""

    def __init__(
        self, partitions: int = 1, clock: ReadableClock | None = None, tenant: TenantId = DEFAULT_TENANT
    ) -> None:
        signals = MemorySignals()
        clock = clock or SystemClock()
        memory = Memory([PartitionState(clock, signals) for _ in range(partitions)])
        super().__init__(
            tenant=tenant,
            partitions=partitions,
            clock=clock,
            store=MemoryStore(memory),
            journals=MemoryJournals(memory),
            leases=MemoryLeases(memory),
            timers=MemoryTimers(memory),
            outbox=MemoryOutbox(memory),
            projections=MemoryProjections(memory),
            signals=signals,
            router=MemoryRouter(memory),
            records=MemoryRecords(memory),
            steering=MemorySteering(memory),
            shelf=MemoryShelf(memory),
            sources=MemorySources(),
            close=_nothing_to_close,
        )


async def _nothing_to_close() -> None:
    """A store in memory holds no connection."""
