"""Where the actors of continuations stand, and which nodes may have more: what the pool keeper and the placer go by.

Not here: the rules (`maestro.runtime.occupancy`); who starts and ends actors (`actors.pool_keeper`, `actors.placing`).
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from actors.names import NAMESPACE, continuation_actor
from maestro.runtime.backend import Backend
from maestro.runtime.nodes import placed
from maestro.runtime.occupancy import Ask, Occupant
from maestro.runtime.residence import has_labels

OWN_ACTOR = "continuation/"
MEMBER = "pool/"
ANSWER_S = 2.0  # one that does not say how long it was idle is taken to be busy

Child = Mapping[str, Any]
"""A child of the supervisor of the pools, as its tree tells of it."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Ray's ids of the nodes that live."""

    open: Mapping[str, Mapping[str, str]]
    """Those that may have more, with their labels."""
    left: frozenset[str]
    """Those that a person, or Ray, wants to be empty."""
    named: Mapping[str, str]
    """All that live, by their names."""

    def fitting(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Those that may have more and have the labels."""
        return tuple(node for node, has in self.open.items() if has_labels(has, labels))


async def living_nodes(backend: Backend) -> Nodes:
    census = await backend.nodes.census()
    left = frozenset(node.id for node in census.nodes if node.leaving is not None) if census else frozenset[str]()
    alive = [node for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
    free = {node["NodeID"]: dict(node["Labels"]) for node in alive if node["NodeID"] not in left}
    return Nodes(free, left, {node["NodeName"]: node["NodeID"] for node in alive})


def load_of(children: Iterable[Child]) -> Counter[str]:
    """Node -> how many actors of continuations stand there."""
    return Counter(str(child["node"]) for child in standing(children))


def standing(children: Iterable[Child]) -> Sequence[Child]:
    """Those in which continuations wake, and that stand somewhere."""
    mine = [child for child in children if str(child["id"]).startswith((MEMBER, OWN_ACTOR))]
    return [child for child in mine if child["node"] is not None and child["state"] != "stopped"]


def own_asks(alone: Mapping[str, int], children: Iterable[Child], nodes: Nodes) -> Mapping[str, Ask]:
    """Pool of one continuation that waits -> the actor that it has not got yet, and where that may stand.

    Args:
        alone: `maestro.runtime.capacity.waiting_alone`.
    """
    here = {str(child["id"]) for child in children}
    asks = {}
    for pool, waited_ms in alone.items():
        node = placed(pool)[1]
        at = tuple(nodes.open) if node is None else tuple(filter(None, [nodes.named.get(node)]))
        if own_actor(pool) not in here and at:
            asks[pool] = Ask(at, waited_ms)
    return asks


def own_actor(pool: str) -> str:
    """The name of the actor that serves the pool of one continuation."""
    return continuation_actor(*placed(pool))


async def with_idle_times(occupants: Sequence[Occupant], busy: frozenset[str]) -> Sequence[Occupant]:
    """Each says itself how long it was idle, but for those known to be busy, who are not asked."""
    asked = [each for each in occupants if each.id not in busy and not each.leaving]
    idle = dict(zip((each.id for each in asked), await asyncio.gather(*map(_idle_ms, asked)), strict=True))
    return [Occupant(each.id, each.node, idle.get(each.id), each.spare, each.leaving) for each in occupants]


async def _idle_ms(occupant: Occupant) -> int | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            actor: Any = await asyncio.to_thread(ray.get_actor, occupant.id, NAMESPACE)
            idle_ms: int | None = await actor.idle_ms.remote()
    except (RayError, ValueError, TimeoutError):  # ValueError: it has ended meanwhile
        return None
    return idle_ms
