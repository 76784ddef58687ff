"""`code.run`: a program in Python as a tool; an installation without MAESTRO_CODE_EXECUTION=true has no such tool.

It runs in a folder of its own that is gone afterwards, with the limits of its worker, no environment, and a network
namespace in which nothing is to be reached; where the kernel gives none, it is refused. A person approves each program.

What it is not: a prison. It may read what the user may read who runs Maestro.
"""

import asyncio
import ctypes
import subprocess
import sys
import tempfile
from contextlib import suppress

from pydantic import BaseModel, ConfigDict

from maestro.errors import ToolDeclined
from maestro.tools.gifts import gift
from maestro.tools.spec import tool

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
MAX_OUTPUT_BYTES = 64 * 1024
LIMIT_S = 20.0


class Ran(BaseModel):
    """How a program ended; its output is cut at 64 KiB each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int
    output: str
    errors: str


@tool(name="code.run", side_effect="unsafe", risk="high", scopes=("code.run",), timeout_s=LIMIT_S + 10)
async def run(source: str) -> Ran:
    """Runs a program in Python, without network, for at most 20 seconds; gives what it prints."""
    gift("code execution", "set MAESTRO_CODE_EXECUTION=true, knowing what it means")
    with tempfile.TemporaryDirectory(prefix="maestro-code-") as folder:
        process = await _begun(source, folder)
        assert process.stdout and process.stderr  # noqa: S101, PT018 - it was begun with pipes
        try:
            async with asyncio.timeout(LIMIT_S):
                output, errors = await asyncio.gather(_beginning(process.stdout), _beginning(process.stderr))
                status = await process.wait()
        except TimeoutError:
            output, errors, status = "", f"it was ended after {LIMIT_S:g} s", -9
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Ran(status=status, output=output, errors=errors)


async def _begun(source: str, folder: str) -> asyncio.subprocess.Process:
    """The program runs; in the session of its worker, which is ended after it with all that it leaves behind.

    Raises:
        ToolDeclined: it would have a network; it was not begun.
    """
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", source, cwd=folder, env={"HOME": folder}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, preexec_fn=_alone,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        raise ToolDeclined("no program without a network can be begun here", hint="allow user namespaces") from None


def _alone() -> None:
    """No network is left; in the child, before the program."""
    if ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        raise OSError("no namespace")


async def _beginning(stream: asyncio.StreamReader) -> str:
    """The first of what comes; the rest is read and dropped, so that the program ends."""
    kept = bytearray()
    while piece := await stream.read(MAX_OUTPUT_BYTES):
        kept += piece[: MAX_OUTPUT_BYTES - len(kept)]
    return kept.decode(errors="replace")
