"""How full a pool is, read from what the store counts: what its keeper decides on, and what people are told who wait.

Who has a place is the store's own truth; how many places there are was told by the keeper of the pools.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from maestro.ids import Partition
from maestro.runtime.backend import Backend
from maestro.runtime.pooling import Demand

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

    def told(self) -> str:
        """How full it is, in words."""
        if self.places is None:
            return "nobody keeps a pool of that name"
        grown = "" if self.places == self.most else f", it may grow to {self.most}"
        return f"{self.awake} of {self.places} busy{grown}"


def awake_in(counts: Mapping[str, int], pool: str) -> int:
    """How many have a place in the pool now."""
    return sum(n for name, n in counts.items() if name.startswith(f"{_AWAKE}{pool}/"))


def demand_of(counts: Mapping[str, int], pool: str) -> Demand:
    """What the pool is asked for."""
    return Demand(counts.get(f"ready:{pool}", 0), counts.get(f"ready_age_ms:{pool}", 0), awake_in(counts, pool))


def room_of(counts: Mapping[str, int], pool: str) -> Room:
    """How full the pool is."""
    return Room(awake_in(counts, pool), counts.get(_PLACES + pool), counts.get(_MOST + pool))


def pools_told(counts: Mapping[str, int]) -> frozenset[str]:
    """The pools that somebody keeps."""
    return frozenset(name.removeprefix(_PLACES) for name in counts if name.startswith(_PLACES))


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
