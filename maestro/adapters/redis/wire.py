"""One connection per process that sends all commands of one event-loop turn in one write.

redis-py spends most of a small command on the round trip through its pool; one connection that is written once per turn
did 4.8 times the ticks (DESIGN 9). Here redis-py connects, greets and parses; what is asked next does not wait for the
replies to what was asked before. Scripts go by EVALSHA; a store that lost them is given them again.

Not retried here: a command whose reply was lost. Every script is safe to repeat, and who repeats it knows why.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from maestro.errors import MaestroError, StoreFull, StoreRefused, StoreUnavailable
from maestro.runtime.identity import empty_store, shut_store

SCRIPTS = Path(__file__).parent / "scripts"
LIBRARIES = ("keys", "clock", "mailbox", "ties", "lib")  # in this order, each on those before it
_LIBRARY = "".join((SCRIPTS / f"{name}.lua").read_text() for name in LIBRARIES)
SHORTEST_BLOCK_MS = 2  # Redis before 6.2.9 and 7.0.8 takes a blocking pop of 1 ms, like one of 0, for ever
SOCKET_TIMEOUT_S = 10.0  # longer than the slowest script allowed (F20), shorter than a lease and a half
CONNECT_TIMEOUT_S = 5.0

Reply = Any
_Asked = tuple[bytes, asyncio.Future[Reply]]
"""A packed command, and where its reply goes."""


class Wire:
    """A store's connection in one process; bound to the event loop that first uses it."""

    def __init__(self, url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        # no time limit inside redis-py: it may swallow a cancellation, and would cut off a pop that waits longer
        options: dict[str, Any] = {"socket_timeout": None, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        self._pool = redis.ConnectionPool.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, **options)
        self._blocking = redis.Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, **options)
        self._blocking.response_callbacks.clear()  # replies stay as Redis sends them; our codec reads them
        self._socket_timeout_s = socket_timeout_s
        self._bodies = {
            path.stem: _LIBRARY + path.read_text() for path in SCRIPTS.glob("*.lua") if path.stem not in LIBRARIES
        }
        self._shas: dict[str, str] = {}
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._waiting: list[_Asked] = []
        self._flushes: set[asyncio.Task[None]] = set()

    async def execute(self, *command: Any) -> Reply:
        """The reply to one command, sent together with all others of this turn.

        Raises:
            StoreUnavailable: no connection, or no reply in time: the outcome is unknown.
            StoreRefused: the store answers and refuses.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._start_flush)
        self._waiting.append((hiredis.pack_command(command), future))
        return await future

    async def script(self, name: str, key: str, *arguments: Any) -> Reply:
        """The reply of the script `name` on the partition `key`."""
        if not self._shas:
            await self._load()
        try:
            return await self.execute("EVALSHA", self._shas[name], 1, key, *arguments)
        except NoScriptError:
            await self._load()
            return await self.execute("EVALSHA", self._shas[name], 1, key, *arguments)

    async def pop(self, lists: Sequence[str], timeout_ms: int) -> bool:
        """True as soon as one of `lists` gave an element, False after `timeout_ms`."""
        timeout_s = max(timeout_ms, SHORTEST_BLOCK_MS) / 1000
        try:
            return await self._blocking.blpop(list(lists), timeout=timeout_s) is not None
        except RedisError as error:
            raise translated(error) from error

    async def close(self) -> None:
        """All connections are closed; commands under way are answered first."""
        await asyncio.gather(*self._flushes)
        if self._line is not None:
            await self._line.close()
        await self._blocking.aclose()

    async def _load(self) -> None:
        shas = await asyncio.gather(*(self.execute("SCRIPT", "LOAD", body) for body in self._bodies.values()))
        self._shas = dict(zip(self._bodies, (_text(sha) for sha in shas), strict=True))

    def _start_flush(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._flush(batch))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self, batch: Sequence[_Asked]) -> None:
        try:
            async with self._connecting:  # turns leave in their order
                line = self._line = await self._living_line()
                line.send(batch)
        except (RedisError, OSError) as error:
            for _, future in batch:
                _answer(future, error)

    async def _living_line(self) -> "_Line":
        """The connection in use if it lives, else a new one."""
        if self._line is not None:
            if await self._line.lives():
                return self._line
            await self._line.close()
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        return _Line(connection, self._socket_timeout_s)


class _Line:
    """One living connection: what is asked first is answered first, and whoever asked is answered in any case."""

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

    def send(self, batch: Sequence[_Asked]) -> None:
        """All of `batch` is on its way, in one write."""
        writer = self._connection._writer  # noqa: SLF001 - send_packed_command makes a task of each write
        if writer is None:
            raise RedisConnectionError("the connection is closed")
        self._asked.extend(future for _, future in batch)
        self._more.set()
        writer.write(b"".join([packed for packed, _ in batch]))

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
                _answer(self._asked[0], await self._reply())
                self._asked.popleft()
        except (RedisError, OSError) as error:
            failure = error
        finally:
            self._open = False
            for future in self._asked:
                _answer(future, failure)
            await self._connection.disconnect(nowait=True)

    async def _reply(self) -> Reply:
        """The next reply, or the refusal that it is."""
        try:
            async with asyncio.timeout(self._socket_timeout_s):
                return await self._connection.read_response()
        except ResponseError as refusal:
            return refusal


def _answer(future: asyncio.Future[Reply], reply: Reply) -> None:
    if future.done():
        return  # who asked was cancelled
    if isinstance(reply, NoScriptError):
        future.set_exception(reply)
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
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return StoreUnavailable(f"no answer from the store: {error}", hint="see `maestro status`; it is tried again")
    if "STORE_EMPTY" in str(error) or "STORE_CLOSED" in str(error):  # see clock.lua
        return empty_store() if "STORE_EMPTY" in str(error) else shut_store()
    if isinstance(error, ResponseError):
        return StoreRefused(f"the store refused a command: {error}", hint="see `maestro doctor`")
    return StoreRefused(f"{type(error).__name__}: {error}")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
