"""Tools that misbehave, for workers of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from pydantic import JsonValue

from maestro.errors import ToolDeclined
from maestro.tools.spec import tool


@tool(side_effect="pure")
def environment() -> dict[str, str]:
    """All that a worker's environment holds."""
    return dict(os.environ)


@tool(side_effect="pure")
def whoami() -> list[int]:
    """Process and session."""
    return [os.getpid(), os.getsid(0)]


@tool(side_effect="pure", timeout_s=0.5)
def hang(mark: str) -> None:
    """Hangs, with a grandchild that hangs too and leaves its pid."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(mark).write_text(str(child.pid))
    time.sleep(600)


@tool(side_effect="pure")
def dies(status: int) -> None:
    """Takes its process with it."""
    os._exit(status)


@tool(side_effect="pure")
def prints(megabytes: int) -> str:
    """A lot of output that nobody asked for."""
    for _ in range(megabytes):
        sys.stdout.write("x" * 1_000_000)
        os.write(1, b"y" * 1_000_000)
    return "done"


@tool(side_effect="pure")
def large(size: int) -> str:
    """A result of that size."""
    return "x" * size


@tool(side_effect="pure")
def eats(size: int) -> int:
    """Memory of that size."""
    return len(bytearray(size))


@tool(side_effect="pure")
def wrong() -> int:
    """Not what it says."""
    return "no number"  # type: ignore[return-value]


@tool(side_effect="unsafe")
def declines() -> None:
    """Nothing was done."""
    raise ToolDeclined("the account is closed", field="to", hint="choose another")


@tool(side_effect="keyed")
async def keyed(text: str, idempotency_key: str) -> list[JsonValue]:
    """What it was given."""
    return [text, idempotency_key]
