"""Following the log into the graph, and from what matters to a goal to what is linked with it: the source `graph`.

Invariants: an edge is tied when its event is followed, again or not, and is the same edge; what is linked is looked for
among what is new: two that were both there at the last look are not ranked again.
What is not here: what edges there are (`maestro.field.graph`), and who looks and ranks (`gathering`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from maestro.field.entry import Entry
from maestro.field.graph import FANOUT, HUB, Edge, Graph, Neighbour, edges_of, is_entry, neighbours
from maestro.ids import EntryId, Partition
from maestro.mesh.event import Event

SEEDS = 10  # of the top of a field, which a prompt leads with, and as many of what was just found near
MOST = 20  # candidates of one look


@dataclass(frozen=True, slots=True)
class Linker:
    """Whoever ties edges and goes along them."""

    graph: Graph

    async def follow(self, partition: Partition, told: Sequence[tuple[Entry, Event]]) -> None:
        """What these tell of is in the graph."""
        edges: list[Edge] = []
        for entry, event in told:
            edges += edges_of(entry, event.payload if isinstance(event.payload, dict) else {})
        if edges:
            await self.graph.tie(partition, edges)

    async def around(self, partition: Partition, matters: Collection[EntryId]) -> list[Neighbour]:
        """Who is linked with one of these, the most closely linked first."""
        seeds = list(dict.fromkeys(matters))
        bonds = dict(zip(seeds, await self.graph.bonds(partition, seeds, FANOUT), strict=True))
        nodes = list({bond.node: None for found in bonds.values() for bond in found if not is_entry(bond.node)})
        met = dict(zip(nodes, await self.graph.bonds(partition, nodes, HUB + 1), strict=True))
        return neighbours(bonds, met)

    async def cut(self, partitions: int, entries: Collection[EntryId]) -> None:
        """No edge of these is left in any partition."""
        for number in range(partitions):
            await self.graph.cut(Partition(number), entries)
