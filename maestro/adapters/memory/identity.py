"""The port Identity in memory."""

import orjson

from maestro.adapters.memory import waking
from maestro.adapters.memory.state import Memory, PartitionState
from maestro.ids import Epoch, TimeMs
from maestro.runtime.identity import WRITES, Standing


class MemoryIdentity:
    """maestro.runtime.identity.Identity of one process; its server is started with it and ends with it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(self) -> Standing:
        first, states = self._memory.partitions[0], self._memory.partitions
        return Standing(
            store=first.store,
            incarnation=first.incarnation,
            committed=sum(state.counts["committed"] for state in states),
            writes=sum(state.counts[name] for state in states for name in WRITES),
            told_ms=TimeMs(first.clock.read()),
            server="memory",
            shut=first.shut,
        )

    async def shut(self) -> None:
        for state in self._memory.partitions:
            state.shut = True

    async def incarnate(self, store: str, incarnation: int, note: str, fact: bytes) -> int:
        return sum(_incarnate(state, store, incarnation, note, fact) for state in self._memory.partitions)


def _incarnate(state: PartitionState, store: str, incarnation: int, note: str, fact: bytes) -> int:
    if state.store == store and state.incarnation >= incarnation:
        return 0
    state.store, state.incarnation, state.shut = store, incarnation, False
    rows = [row for held in state.held.values() for row in held.values()]
    for row in rows:
        row.tenure.epoch, row.tenure.error = Epoch(state.next_epoch(row.tenure.epoch)), note
        waking.let_go(state, row)
        waking.make_ready(state, row)
    state.leases.clear()
    state.counts["incarnations"] += 1
    state.fact(orjson.loads(fact))
    return len(rows)
