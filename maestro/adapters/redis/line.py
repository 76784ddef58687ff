"""One living connection to one server: what is asked first is answered first, whoever asked is answered in any case.

Not here: which server, and what is done when the line breaks (`wire`).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from maestro.errors import MaestroError, StoreFull, StoreRefused, StoreUnavailable
from maestro.runtime.identity import empty_store, shut_store

Reply = Any


@dataclass(frozen=True, slots=True)
class Asked:
    """A packed command, and where its reply goes."""

    packed: bytes
    future: asyncio.Future[Reply]
    partition: str | None = None
    """Where it may write, for a script; None for what only looks, or writes by a plain command."""
    writes: bool = False


class Line:
    """A connection, written once per turn of the event loop and read by a task of its own."""

    def __init__(self, connection: AbstractConnection, socket_timeout_s: float) -> None:
        self._connection = connection
        self._socket_timeout_s = socket_timeout_s
        self._asked: deque[asyncio.Future[Reply]] = deque()
        self._more = asyncio.Event()
        self._open = True
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def lives(self) -> bool:
        """False once it broke, or when the store hung up while nothing was asked."""
        return self._open and (bool(self._asked) or not await self._connection.can_read())

    def send(self, batch: Sequence[Asked]) -> None:
        """All of `batch` is on its way, in one write."""
        writer = self._connection._writer  # noqa: SLF001 - send_packed_command makes a task of each write
        if writer is None:
            raise RedisConnectionError("the connection is closed")
        self._asked.extend(asked.future for asked in batch)
        self._more.set()
        writer.write(b"".join([asked.packed for asked in batch]))

    async def close(self) -> None:
        """What was asked is answered, and nothing is read any more."""
        await asyncio.gather(*self._asked, return_exceptions=True)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        failure: Exception = RedisConnectionError("the connection is closed")
        try:
            while True:
                if not self._asked:
                    self._more.clear()
                    await self._more.wait()
                answer(self._asked[0], await self._reply())
                self._asked.popleft()
        except (RedisError, OSError) as error:
            failure = error
        finally:
            self._open = False
            for future in self._asked:
                answer(future, failure)
            writer = self._connection._writer  # noqa: SLF001 - as in `send`
            if writer is not None:
                writer.transport.abort()  # what is not written yet nobody waits for: the socket must not
            await self._connection.disconnect(nowait=True)

    async def _reply(self) -> Reply:
        """The next reply, or the refusal that it is."""
        try:
            async with asyncio.timeout(self._socket_timeout_s):
                return await self._connection.read_response()
        except ResponseError as refusal:
            return refusal


def answer(future: asyncio.Future[Reply], reply: Reply) -> None:
    """Whoever asked has this reply, or this failure in our words."""
    if future.done():
        return  # who asked was cancelled
    if isinstance(reply, NoScriptError | MovedError):
        future.set_exception(reply)  # the wire deals with these itself
    elif isinstance(reply, Exception):
        future.set_exception(translated(reply))
    else:
        future.set_result(reply)


def translated(error: Exception) -> MaestroError:
    """Redis' failure in our words; recoverable or not is decided here, once."""
    if isinstance(error, OutOfMemoryError):
        return StoreFull("the store is out of memory", hint="raise its maxmemory, or end continuations")
    if isinstance(error, ReadOnlyError) or str(error).startswith("MISCONF"):
        return StoreFull(f"the store is read-only: {error}", hint="see `maestro doctor`: disk, replica, permissions")
    if isinstance(error, AskError | TryAgainError | ClusterDownError):  # nothing of it was done, see slots.py
        return StoreUnavailable(f"the cluster is moving or down: {error}", hint="see `maestro status`; tried again")
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return StoreUnavailable(f"no answer from the store: {error}", hint="see `maestro status`; it is tried again")
    if "STORE_EMPTY" in str(error) or "STORE_CLOSED" in str(error):  # see clock.lua
        return empty_store() if "STORE_EMPTY" in str(error) else shut_store()
    if isinstance(error, MovedError):
        hint = "write redis+cluster://HOST:PORT,... as MAESTRO_REDIS_URL"
        return StoreRefused(f"this server is a node of a cluster, and not the one for this: {error}", hint=hint)
    if isinstance(error, ResponseError):
        return StoreRefused(f"the store refused a command: {error}", hint="see `maestro doctor`")
    return StoreRefused(f"{type(error).__name__}: {error}")
