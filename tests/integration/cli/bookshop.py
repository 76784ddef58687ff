"""A behaviour with a tool that returns much, and the same twice."""

from maestro.continuation.directive import Closing, Finish
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tools.spec import tool


@tool(side_effect="pure", cacheable=True)
def catalogue() -> str:
    """Every book."""
    return "".join(f"book {number}\n" for number in range(1_000)) + "\x1b[2J"


class Bookshop(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.use("catalogue")
        await tick.use("catalogue")
        return Finish(result=None)
