"""The attention of people, while a wait is opened: who asks takes one unit, and nobody asks what there is no unit for.

Two limits, both exact: the ledger's `human.approvals` and `human.reviews`, and so many questions on one day
(`bounds.asks_per_day`), which are there again with the next day of the store's clock (UTC). A question that is not
asked waits for its unit, and is asked then, without a line of the behaviour's code.

Source: spec/05 section 1 (human-attention quotas); X-46.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.wait import awaits_attention, parts
from maestro.ids import TimeMs

DAY_MS = 86_400_000


@dataclass(slots=True)
class Purse:
    """What is left of the attention of people while waits are opened, and what was taken."""

    free: dict[str, int]
    """Of each resource that the ledger limits."""
    day: int
    per_day: int | None
    taken_today: int
    spent: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, before: Checkpoint, free: Mapping[str, int], now_ms: TimeMs) -> "Purse":
        """What `before` may still take at this moment."""
        today = now_ms // DAY_MS
        taken = before.asks_that_day if before.asked_on_day == today else 0
        return cls(dict(free), today, before.bounds.asks_per_day, taken)

    def take(self, resource: str) -> bool:
        """One unit is taken; False when there is none. The ledger counts only what it limits."""
        if self.per_day is not None and self.taken_today >= self.per_day:
            return False
        if resource in self.free:
            if self.free[resource] < 1:
                return False
            self.free[resource] -= 1
            self.spent[resource] = self.spent.get(resource, 0) + 1
        self.taken_today += 1
        return True


def next_asking(checkpoint: Checkpoint) -> TimeMs | None:
    """When the next day begins, where nothing but the quota of its day keeps it from asking."""
    wait, per_day = checkpoint.wait, checkpoint.bounds.asks_per_day
    if wait is None or per_day is None or checkpoint.asks_that_day < per_day:
        return None
    if not any(awaits_attention(part) for part in parts(wait)):
        return None
    return TimeMs((checkpoint.asked_on_day + 1) * DAY_MS)
