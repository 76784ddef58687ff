"""What all pagers of a tenant are told through the store: which targets cool down, and whether the brake is on.

A target that refused one pager is left alone by all of them, over restarts too; under the brake (`maestro freeze`
without an id) no attempt leaves, a retry neither. Spans are on the store's clock.
Not here: how long a target is left alone, and what a call does under the brake (`failover`).

Source: spec/05 section 7; spec/09 section 8 for the cooldown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Notice:
    """How things stand at one moment."""

    braked: bool = False
    left_ms: Mapping[str, int] = field(default_factory=dict)
    """How much longer each target that was asked about is left alone; 0 for one that is not."""


class Notices(Protocol):
    async def read(self, targets: Sequence[str]) -> Notice:
        """The brake, and the cooldowns of `targets`."""
        ...

    async def cool(self, target: str, span_ms: int) -> None:
        """Nobody asks `target` for so long; a longer span that runs already stays."""
        ...


class LocalNotices:
    """Notices of one process: it has no brake, and forgets its cooldowns when it ends."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._until_ms: dict[str, int] = {}

    async def read(self, targets: Sequence[str]) -> Notice:
        now_ms = self._now_ms()
        return Notice(left_ms={target: max(0, self._until_ms.get(target, 0) - now_ms) for target in targets})

    async def cool(self, target: str, span_ms: int) -> None:
        self._until_ms[target] = max(self._until_ms.get(target, 0), self._now_ms() + span_ms)
