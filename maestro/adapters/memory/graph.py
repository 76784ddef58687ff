"""maestro.field.graph.Graph in memory."""

from collections.abc import Collection, Iterable, Sequence

from maestro.adapters.memory.state import Memory, PartitionState
from maestro.field.graph import KEPT, Bond, Edge
from maestro.ids import EntryId, Partition, TimeMs


class MemoryGraph:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def tie(self, partition: Partition, edges: Sequence[Edge], kept: int = KEPT) -> None:
        state = self._memory.at(partition)
        for edge in edges:
            state.bonds.setdefault(edge.entry, {})[edge.kind, edge.node] = edge.at_ms
            state.bonds.setdefault(edge.node, {})[edge.kind, edge.entry] = edge.at_ms
            state.tied[edge.entry] = edge.at_ms
        oldest_first = sorted(state.tied, key=lambda name: (state.tied[name], name))
        _cut(state, oldest_first[: max(0, len(oldest_first) - kept)])

    async def bonds(self, partition: Partition, nodes: Sequence[str], most: int) -> Sequence[Sequence[Bond]]:
        state = self._memory.at(partition)
        return [_newest(state.bonds.get(node, {}))[:most] for node in nodes]

    async def cut(self, partition: Partition, entries: Collection[EntryId]) -> int:
        return _cut(self._memory.at(partition), entries)


def _newest(bonds: dict[tuple[str, str], TimeMs]) -> list[Bond]:
    found = [Bond(kind, node, at_ms) for (kind, node), at_ms in bonds.items()]
    return sorted(found, key=lambda bond: (bond.at_ms, f"{bond.kind} {bond.node}".encode()), reverse=True)


def _cut(state: PartitionState, entries: Iterable[EntryId]) -> int:
    gone = 0
    for name in entries:
        bonds = state.bonds.pop(name, {})
        for kind, node in bonds:
            others = state.bonds.get(node, {})
            others.pop((kind, name), None)
            if not others:
                state.bonds.pop(node, None)
        state.tied.pop(name, None)
        gone += bool(bonds)
    return gone
