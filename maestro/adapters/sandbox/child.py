"""A child process as both sandboxes begin it: our import path, a session of its own, and an environment that we chose.

Invariants: it is ended with all that it has begun in its session; it has neither password nor address of store,
provider or cluster in its environment; what it prints goes nowhere, its answers are lines on a descriptor of their own.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

import orjson

ANSWER_LIMIT_BYTES = 1 << 20
_BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"


async def begun(
    module: str, env: Mapping[str, str], limit_bytes: int = ANSWER_LIMIT_BYTES
) -> asyncio.subprocess.Process:
    """A process that runs `main` of `module`; an answer line longer than the limit is an error of its reader."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _BEGIN.format(module=module),
        orjson.dumps(sys.path).decode(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(env),
        limit=limit_bytes,
        start_new_session=True,
    )


async def ended(process: asyncio.subprocess.Process) -> None:
    """Nothing of the process, nor of its session, is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()
    transport = getattr(process, "_transport", None)  # its pipes, also where a grandchild outside the session has them
    if transport is not None:
        transport.close()
