"""What using tools needs from outside a tick; the same for all ticks of a process."""

import asyncio
from dataclasses import dataclass, field

from maestro.errors import ToolDeclined
from maestro.tick.journals import Journals
from maestro.tools.breaker import CLOSED, Breaker
from maestro.tools.calls import InlineTools, ToolRecords, ToolRunner
from maestro.tools.context import Reveal, nothing_revealed
from maestro.tools.registry import Toolbox
from maestro.tools.spec import Tool


class Breakers:
    """The circuit breakers of a process, one per tool; on the clock of its event loop."""

    def __init__(self) -> None:
        self._by_tool: dict[str, Breaker] = {}

    def retry_in_ms(self, tool: str) -> int:
        return self._of(tool).retry_in_ms(_now_ms())

    def begun(self, tool: str) -> None:
        self._by_tool[tool] = self._of(tool).begun(_now_ms())

    def ended(self, tool: str, well: bool) -> None:
        self._by_tool[tool] = self._of(tool).succeeded() if well else self._of(tool).failed(_now_ms())

    def _of(self, tool: str) -> Breaker:
        return self._by_tool.get(tool, CLOSED)


@dataclass(frozen=True, slots=True)
class Workbench:
    """Tools, who carries them out, and what is remembered of them."""

    toolbox: Toolbox
    workers: ToolRunner
    """For tools that a process of their own runs."""
    records: ToolRecords
    journals: Journals
    breakers: Breakers = field(default_factory=Breakers)
    inline: ToolRunner = field(default_factory=InlineTools)
    servers: ToolRunner | None = None
    """For tools that a server offers; None where there are no servers."""
    reveal: Reveal = nothing_revealed
    """The secret that a reference leads to."""

    def runner_of(self, tool: Tool) -> ToolRunner:
        """Who carries out a call of `tool`.

        Raises:
            ToolDeclined: nobody here does.
        """
        match tool.spec.runs:
            case "inline":
                return self.inline
            case "worker":
                return self.workers
            case "server" if self.servers is not None:
                return self.servers
            case _:
                raise ToolDeclined(f"{tool.name} is a server's, and none is set here", hint="set MAESTRO_MCP_FILE")


def _now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
