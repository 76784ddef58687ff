"""How many actors of continuations a node may have, and who makes room: pure decisions, made again at each look.

    seat       : (load, asks, cap) -> who finds no room, and the load once the others have theirs
    passivated : (occupants, lacking, cap) -> who ends, so that there is room

An occupant is an actor that continuations wake in: a member of a pool, or one that a continuation has to itself.

Invariants: nobody who has work ends, nor who belongs to the least of a pool; of the idle the least recently used ends
first; for each who finds no room at most one ends; whoever has waited longest is seated first. Who lacks room waits.

Not here: who looks and carries it out (`actors.pool_keeper`, `actors.placing`), and how many a pool wants (`pooling`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Occupant:
    """One actor that continuations wake in."""

    id: str
    node: str
    idle_ms: int | None = None
    """How long nothing has been awake in it; None: something is, or it does not say."""
    spare: bool = True
    """False: it belongs to the least that its pool always has."""
    leaving: bool = False
    """It takes no more work, and ends when its ticks have."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One more actor is wanted, on one of these nodes."""

    nodes: tuple[str, ...]
    waited_ms: int = 0
    """How long whoever it is for has waited."""


def least_loaded(load: Mapping[str, int], nodes: Iterable[str], cap: int | None) -> str | None:
    """The node with the fewest occupants that may have one more; None where none may."""
    free = [node for node in nodes if cap is None or load.get(node, 0) < cap]
    return min(free, key=lambda node: (load.get(node, 0), node), default=None)


def seat(load: Mapping[str, int], asks: Sequence[Ask], cap: int | None) -> tuple[Sequence[Ask], Mapping[str, int]]:
    """Those for whom no node has room, the oldest first, and the load once the others have theirs."""
    lacking, taken = [], Counter(load)
    for ask in sorted(asks, key=lambda ask: -ask.waited_ms):
        node = least_loaded(taken, ask.nodes, cap)
        if node is None:
            lacking.append(ask)
        else:
            taken[node] += 1
    return lacking, taken


def passivated(occupants: Sequence[Occupant], lacking: Sequence[Ask], cap: int) -> tuple[str, ...]:
    """Who is to end: those beyond the cap, and one for each who lacks room, where nobody is leaving already."""
    idle = sorted(
        (each for each in occupants if each.spare and not each.leaving and each.idle_ms is not None),
        key=lambda each: (-(each.idle_ms or 0), each.id),
    )
    load, leaving = Counter(each.node for each in occupants), Counter(each.node for each in occupants if each.leaving)
    chosen: list[str] = []

    def let_go(nodes: Sequence[str]) -> None:
        found = next((each for each in idle if each.node in nodes and each.id not in chosen), None)
        if found is not None:
            chosen.append(found.id)

    for node, count in sorted(load.items()):
        for _ in range(count - leaving[node] - cap):
            let_go((node,))
        leaving[node] = max(0, leaving[node] - max(0, count - cap))  # those beyond that make room for others
    for ask in lacking:
        going = next((node for node in ask.nodes if leaving[node]), None)
        if going is None:
            let_go(ask.nodes)
        else:
            leaving[going] -= 1
    return tuple(chosen)
