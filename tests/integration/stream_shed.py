"""A class of tools in a process of its own: one whose stream takes its process with it, in the midst of a window."""

import os
from collections.abc import AsyncIterator

from maestro.tools.classes import Tools, command, stream
from maestro.tools.streams import Item


class Shed(Tools):
    """Counts what it has lived through."""

    def __init__(self) -> None:
        self.calls = 0

    @command(side_effect="pure")
    def count(self) -> list[int]:
        """How often this process was asked, and which it is."""
        self.calls += 1
        return [os.getpid(), self.calls]

    @stream(at_most=10, window_s=2)
    async def numbers(self, mark: str, cursor: str | None = None) -> AsyncIterator[Item]:
        """1 to 5; at the third, the first time, its process dies."""
        for number in range(int(cursor or 0) + 1, 6):
            if number == 3 and not os.path.exists(mark):  # noqa: ASYNC240, PTH110 - of its own process
                open(mark, "w").close()  # noqa: ASYNC230, PTH123 - the same
                os._exit(9)
            yield Item(value=number, cursor=str(number))
