"""Nodes as the store knows them: which are being drained, and who is pinned to which.

A node is known by the name that it was given when it was started; Ray's own ids of it die with each start. That a node
lives is a fact about the cluster: here is only what was last seen of it, with the time. That a person wants nothing to
run there must outlive the cluster, and is truth. A pin is part of a continuation: it waits in a pool of its own at that
node, `dedicated-<id>@<node>`, until it has woken there once, or until it is unpinned.

Invariant: whoever is pinned is adopted at that node or not at all.
Not here: who carries it out (`actors.node_keeper`, `actors.placing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, TimeMs
from maestro.runtime.ports import DEDICATED

NODES = "nodes"
"""The signal that rouses whoever carries out what is asked of nodes."""
NAME_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Drain:
    """Nothing is to run on a node, by whose word, and why."""

    by: str
    reason: str
    at_ms: TimeMs


@dataclass(frozen=True, slots=True)
class Seen:
    """One node as the cluster last showed it."""

    name: str
    id: str
    """Ray's, of this start."""
    alive: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    leaving: str | None = None
    """Why it takes no work, in words: a person drains it, or Ray does."""
    actors: tuple[str, ...] = ()
    """Names of the actors of pools there."""


@dataclass(frozen=True, slots=True)
class Census:
    """All nodes of the cluster, as they were at a moment on the store's clock."""

    at_ms: TimeMs
    nodes: tuple[Seen, ...]

    @property
    def takers(self) -> tuple[Seen, ...]:
        """Those that take work."""
        return tuple(node for node in self.nodes if node.alive and node.leaving is None)


class Nodes(Protocol):
    """What people ask of nodes."""

    async def drain(self, node: str, by: str, reason: str) -> bool:
        """The node is being drained; False where it was before: who asked first, and why, stays."""
        ...

    async def undrain(self, node: str) -> bool:
        """The node takes work again; False where it did."""
        ...

    async def draining(self) -> Mapping[str, Drain]:
        """The nodes that are being drained."""
        ...

    async def see(self, nodes: Sequence[Seen]) -> None:
        """This is the latest census."""
        ...

    async def census(self) -> Census | None:
        """The latest one; None before the first."""
        ...

    async def pin(self, cid: ContinuationId, node: str, stays: bool) -> None:
        """It wakes at that node: the next time, or, where it `stays`, until it is unpinned. A later pin counts.

        A tick under way is not disturbed; the next one is at that node.

        Raises:
            ContinuationNotFoundError: nobody has that id.
            ContinuationAlreadyTerminalError: it is done.
        """
        ...

    async def unpin(self, cid: ContinuationId) -> bool:
        """It wakes wherever its pool has room; False where it was not pinned."""
        ...


def check_node(name: str) -> str:
    """The name, if it can be one.

    Raises:
        InvalidInput: it is empty, too long, or holds what no node is called.
    """
    if not name or len(name) > NAME_LIMIT or not all(c.isalnum() or c in "._:-" for c in name):
        raise InvalidInput(f"{name!r:.60} is no name of a node", field="node", hint="see `maestro nodes`")
    return name


def pinned_pool(cid: ContinuationId, node: str) -> str:
    """Where it waits while it is pinned to that node."""
    return f"{DEDICATED}{cid}@{node}"


def placed(pool: str) -> tuple[ContinuationId, str | None]:
    """Whose own pool this is, and at which node it must be served; None for any."""
    cid, _, node = pool.removeprefix(DEDICATED).partition("@")
    return ContinuationId(cid), node or None
