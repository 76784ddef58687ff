"""How busy a pager is, as the policy kernel takes it into account: who waits, how long answers take, who is up.

Invariant: a load says what was so a moment ago; nothing that must hold (brake, cooldown, slots) depends on it.
Not here: what follows from it (maestro.policy.kernel).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from maestro.policy.gradient import Tier

WEIGHT = 8
"""The last answer counts for one part in so many of what the next is expected to take."""

Count = Annotated[int, Field(ge=0)]


class Load(BaseModel):
    """One look at a pager."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    waiting: Count = 0
    """Calls that wait for their turn, among those that somebody waits for."""
    latency_ms: Mapping[Tier, Count] = {}
    """What an answer of each tier takes of late, the wait for its turn included; none where none was given yet."""
    providers_up: bool = True
    """False when every target of every tier is left alone for now."""


IDLE = Load()
"""What is said of a pager of which nothing is known."""

Look = Callable[[], Awaitable[Load]]
"""The load of the pager that would be asked."""


class Latencies:
    """What answers take of late, per tier: a mean in which old answers fade."""

    def __init__(self) -> None:
        self._mean_ms: dict[Tier, float] = {}

    def took(self, tier: Tier, ms: int) -> None:
        """An answer of `tier` took so long."""
        before_ms = self._mean_ms.get(tier, ms)
        self._mean_ms[tier] = before_ms + (ms - before_ms) / WEIGHT

    def told(self) -> dict[Tier, int]:
        return {tier: round(ms) for tier, ms in self._mean_ms.items()}
