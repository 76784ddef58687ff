"""The mind of ticks that need none: whoever turns to it is refused, and told where thinking is done instead.

Not here: the mind that calls models and tools (maestro.tick.mind).
"""

from collections.abc import Sequence
from typing import NoReturn

from pydantic import JsonValue

from maestro.continuation.edits import Edits
from maestro.errors import Unservable
from maestro.field.project import Weighed
from maestro.tick.thought import Thought
from maestro.tick.using import Use


class Mindless:
    """Refuses every effect, and has nothing to settle.

    Args:
        why: what has no mind, as an error tells it.
        hint: what to do instead.
    """

    def __init__(self, why: str, hint: str) -> None:
        self._why, self._hint = why, hint

    async def think(self, thought: Thought) -> str:
        self._refuse()

    async def top(self, n: int, edits: Edits | None = None) -> Sequence[Weighed]:
        self._refuse()

    async def use(self, wish: Use) -> JsonValue:
        self._refuse()

    async def settled(self) -> None:
        return

    def _refuse(self) -> NoReturn:
        raise Unservable(self._why, hint=self._hint)
