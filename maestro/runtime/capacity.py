"""How full a pool is, read from what the store counts: what its keeper decides on, and what people are told who wait.

Who has a place is the store's own truth; how many places there are, and for how many actors no node has room, was told
by the keeper of the pools.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from maestro.ids import Partition
from maestro.runtime.backend import Backend
from maestro.runtime.pooling import Demand
from maestro.runtime.ports import DEDICATED, ready_signal

LACKING = "@nodes"
"""Not a pool: its `places` are the actors for which no node has room, its `most` what a node may have."""
_AWAKE, _PLACES, _MOST = "held:pool/", "pool_places:", "pool_most:"


@dataclass(frozen=True, slots=True)
class Room:
    """Places of one pool."""

    awake: int
    """Taken now."""
    places: int | None = None
    """Of the actors that it has now; None where nobody keeps the pool."""
    most: int | None = None
    """Of the most that it may have."""
    lacking: int = 0
    """Actors for which no node has room, of whatever pool."""
    cap: int = 0
    """What a node may have of them."""
    own: bool = False
    """It is the pool of one continuation, which has an actor to itself."""

    def told(self) -> str:
        """How full it is, in words."""
        if self.own:
            return "an actor of its own" + (self._lacks() or " is on its way")
        if self.places is None:
            return "nobody keeps a pool of that name"
        grown = "" if self.places == self.most else f", it may grow to {self.most}{self._lacks()}"
        return f"{self.awake} of {self.places} busy{grown}"

    def _lacks(self) -> str:
        full = f" when an actor of a node is idle: each may have {self.cap}, and {self.lacking} more are wanted"
        return full if self.lacking else ""


def awake_in(counts: Mapping[str, int], pool: str) -> int:
    """How many have a place in the pool now."""
    return sum(n for name, n in counts.items() if name.startswith(f"{_AWAKE}{pool}/"))


def demand_of(counts: Mapping[str, int], pool: str) -> Demand:
    """What the pool is asked for."""
    return Demand(counts.get(f"ready:{pool}", 0), counts.get(f"ready_age_ms:{pool}", 0), awake_in(counts, pool))


def room_of(counts: Mapping[str, int], pool: str) -> Room:
    """How full the pool is."""
    return Room(
        awake_in(counts, pool),
        counts.get(_PLACES + pool),
        counts.get(_MOST + pool),
        *lacking_in(counts),
        own=pool.startswith(DEDICATED),
    )


def lacking_in(counts: Mapping[str, int]) -> tuple[int, int]:
    """For how many actors no node has room, and how many a node may have; 0 where nothing limits them."""
    return counts.get(_PLACES + LACKING, 0), counts.get(_MOST + LACKING, 0)


def pools_told(counts: Mapping[str, int]) -> frozenset[str]:
    """The pools that somebody keeps."""
    told = frozenset(name.removeprefix(_PLACES) for name in counts if name.startswith(_PLACES))
    return told - {LACKING}


def waiting_alone(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Pools of one continuation each in which it is ready -> for how long, in ms."""
    prefix = ready_signal(DEDICATED)
    ready = [
        name.removeprefix(ready_signal("")) for name, depth in counts.items() if name.startswith(prefix) and depth > 0
    ]
    return {pool: counts.get(f"ready_age_ms:{pool}", 0) for pool in ready}


async def counted(backend: Backend) -> Mapping[str, int]:
    """What all partitions count, together; ages are those of the oldest."""
    told: Counter[str] = Counter()
    for number in range(backend.partitions):
        for name, value in (await backend.records.counts(Partition(number))).items():
            told[name] = max(told[name], value) if name.startswith("ready_age_ms:") else told[name] + value
    return told


async def room_in(backend: Backend, pool: str) -> Room:
    """How full the pool is now."""
    return room_of(await counted(backend), pool)
