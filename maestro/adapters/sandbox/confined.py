"""A confined process that serves whatever it is told: limits first, the code after them.

    {"serve": "module:function", "limits": {...}}   then the line belongs to `function(asked, answer)`

Invariants: memory, files and core dumps are limited before the code is imported; of our environment it has what is
named in VISIBLE, and nothing else; it dies with whoever began it, and with it all that it began in its session.
The limit on memory is a soft one, so that a program begun from in there can be given another.
"""

import asyncio
import importlib
import os
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson

from maestro.adapters.sandbox import child
from maestro.adapters.sandbox.line import line_open
from maestro.adapters.sandbox.tools import VISIBLE
from maestro.adapters.sandbox.toolwork import die_with_parent, limit


@dataclass(frozen=True, slots=True)
class Confinement:
    """Begins and ends such processes."""

    memory_bytes: int = 1 << 30
    open_files: int = 256
    file_bytes: int = 256 << 20
    line_bytes: int = 4 << 20
    """The longest answer that is read."""

    async def begun(self, serve: str) -> asyncio.subprocess.Process:
        """A process whose line is `serve`'s."""
        visible = {name: os.environ[name] for name in VISIBLE if name in os.environ}
        process = await child.begun("maestro.adapters.sandbox.confined", visible, self.line_bytes)
        assert process.stdin is not None  # noqa: S101 - it was begun with pipes
        process.stdin.write(orjson.dumps({"serve": serve, "limits": asdict(self)}) + b"\n")
        return process

    async def ended(self, process: asyncio.subprocess.Process) -> None:
        """Nothing of it is left."""
        await child.ended(process)


def main() -> None:
    """Returns when what is served does."""
    die_with_parent()
    asked, answer = line_open()
    told = orjson.loads(asked.readline())
    limits = told["limits"]
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"], hard))
    limit(resource.RLIMIT_NOFILE, limits["open_files"])
    limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    limit(resource.RLIMIT_CORE, 0)
    module, _, function = told["serve"].partition(":")
    serve: Callable[..., None] = getattr(importlib.import_module(module), function)
    serve(asked, answer)
    os._exit(0)  # whatever threads and exit handlers are left behind
