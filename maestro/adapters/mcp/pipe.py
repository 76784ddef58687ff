"""The standard streams of an MCP server that is run here, as the transport that the mcp package expects.

Its own stdio client begins each server in a session of its own, reads lines of any length, and hands down more of the
environment than we give. Here the server shares the session of its bridge, so that one signal ends both.
"""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Heard = MemoryObjectSendStream[SessionMessage | Exception]
Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, and within which limits."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None
    memory_bytes: int | None
    line_bytes: int


@asynccontextmanager
async def spoken_by(command: Command, on_end: Callable[[], None]) -> AsyncIterator[Streams]:
    """The streams of a server that runs; it is ended with the block.

    Args:
        on_end: called once when the server says no more, or a line that is too long.
    """
    process = await asyncio.create_subprocess_exec(
        *command.argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **command.env},
        cwd=command.cwd,
        limit=command.line_bytes,
        preexec_fn=partial(_confine, _libc(), command.memory_bytes),  # one thread is all there is yet
    )
    heard, hearing = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    saying, said = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_hear, process, heard, on_end)
            group.start_soon(_say, process, said)
            yield hearing, saying
            group.cancel_scope.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def _hear(process: asyncio.subprocess.Process, heard: Heard, on_end: Callable[[], None]) -> None:
    assert process.stdout is not None  # noqa: S101 - it was begun with pipes
    async with heard:
        with suppress(ValueError):  # a line beyond its limit: the server is not listened to any more
            while line := await process.stdout.readline():
                await heard.send(_parsed(line))
    on_end()


async def _say(process: asyncio.subprocess.Process, said: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None  # noqa: S101 - it was begun with pipes
    async with said:
        with suppress(OSError):  # that it has ended, who hears it knows
            async for each in said:
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()


def _parsed(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _confine(libc: ctypes.CDLL | None, memory_bytes: int | None) -> None:
    """In the new process, before the server: it dies with its bridge, and has its own limit of memory."""
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard if memory_bytes is None else memory_bytes, hard))
