"""The port Nodes in memory."""

from collections.abc import Mapping, Sequence

from maestro.adapters.memory.state import Memory, PartitionState, Row, ended
from maestro.ids import ContinuationId, Partition
from maestro.runtime.nodes import NODES, Census, Drain, Seen, pinned_pool
from maestro.runtime.ports import DEDICATED, PLACE, ready_signal
from maestro.tick.records import Pin


class MemoryNodes:
    """maestro.runtime.nodes.Nodes in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._draining: dict[str, Drain] = {}
        self._census: Census | None = None

    async def drain(self, node: str, by: str, reason: str) -> bool:
        if node in self._draining:
            return False
        state = self._memory.at(Partition(0))
        self._draining[node] = Drain(by, reason, state.now())
        state.fact({"type": "node_draining", "node": node, "by": by, "reason": reason, "at_ms": state.now()})
        state.signals.ring(NODES)
        return True

    async def undrain(self, node: str) -> bool:
        if self._draining.pop(node, None) is None:
            return False
        state = self._memory.at(Partition(0))
        state.fact({"type": "node_undrained", "node": node, "at_ms": state.now()})
        state.signals.ring(NODES)
        return True

    async def draining(self) -> Mapping[str, Drain]:
        return dict(self._draining)

    async def see(self, nodes: Sequence[Seen]) -> None:
        self._census = Census(self._memory.at(Partition(0)).now(), tuple(nodes))

    async def census(self) -> Census | None:
        return self._census

    async def pin(self, cid: ContinuationId, node: str, stays: bool) -> None:
        state, row = self._memory.find(cid)
        if row.terminal:
            raise ended(row)
        home = row.pool if row.pin is None else row.pin.home
        row.pin = Pin(node, stays, home)
        _move(state, row, pinned_pool(cid, node))

    async def unpin(self, cid: ContinuationId) -> bool:
        return unpin(*self._memory.find(cid))


def unpin(state: PartitionState, row: Row) -> bool:
    """It waits in its own pool again, if it was pinned."""
    if row.pin is None:
        return False
    home, row.pin = row.pin.home, None
    _move(state, row, home)
    return True


def _move(state: PartitionState, row: Row, pool: str) -> None:
    """It waits in another pool from now on, at its old place in the order."""
    since = state.ready[row.pool].time_of(row.cid)
    if pool == row.pool:
        return
    state.ready[row.pool].drop(row.cid)
    row.pool = pool
    if since is not None:
        state.ready[pool].put(row.cid, since)
        state.signals.ring(ready_signal(pool))
        if pool.startswith(DEDICATED):
            state.signals.ring(PLACE)
