"""The mind of ticks that need none: whoever turns to it is refused, and told where thinking is done instead.

Not here: the mind that calls models and tools (maestro.tick.mind).
"""

from collections.abc import Sequence
from typing import NoReturn

from pydantic import JsonValue

from maestro.continuation.edits import Edits
from maestro.errors import Unservable
from maestro.field.project import Weighed
from maestro.tick.thought import Thought, Turn
from maestro.tick.using import Use
from maestro.tools.attention import NOTHING, Promoted
from maestro.tools.spec import Spec, Tool


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

    @property
    def promoted(self) -> Promoted:
        return NOTHING

    @promoted.setter
    def promoted(self, shown: Promoted) -> None:
        self._refuse()

    async def turn(self, thought: Thought) -> Turn:
        self._refuse()

    def tools(self, named: Sequence[str | Tool]) -> list[Tool]:
        self._refuse()

    def shown(self, tools: Sequence[Tool]) -> list[Spec]:
        self._refuse()

    async def settled(self) -> None:
        return

    def _refuse(self) -> NoReturn:
        raise Unservable(self._why, hint=self._hint)
