"""One connection per process that sends all commands of one event-loop turn in one write.

redis-py spends most of a small command on the round trip through its pool; gathering what a turn of the loop asks for
into one pipeline did 4.8 times the ticks (DESIGN 9). Scripts go by EVALSHA; a store that lost them is given them again.

Not retried here: a command whose reply was lost. Every script is safe to repeat, and who repeats it knows why.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis.asyncio as redis
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

from maestro.errors import MaestroError, StoreRefused, StoreUnavailable

SCRIPTS = Path(__file__).parent / "scripts"
_LIBRARY = (SCRIPTS / "lib.lua").read_text()
SOCKET_TIMEOUT_S = 10.0  # longer than the slowest script allowed (F20), shorter than a lease and a half

Reply = Any


class Wire:
    """A store's connection in one process; bound to the event loop that first uses it."""

    def __init__(self, url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=socket_timeout_s, socket_connect_timeout=5.0, retry=Retry(NoBackoff(), 0), protocol=2
        )
        # blocking pops wait on connections of their own, longer than any reply may take
        self._blocking = redis.Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=5.0, retry=Retry(NoBackoff(), 0), protocol=2
        )
        for client in (self._client, self._blocking):
            client.response_callbacks.clear()  # replies stay as Redis sends them; our codec reads them
        self._bodies = {path.stem: _LIBRARY + path.read_text() for path in SCRIPTS.glob("*.lua") if path.stem != "lib"}
        self._shas: dict[str, str] = {}
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Reply]]] = []
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
        self._waiting.append((command, future))
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
        try:
            return await self._blocking.blpop(list(lists), timeout=timeout_ms / 1000) is not None
        except RedisError as error:
            raise translated(error) from error

    async def close(self) -> None:
        """Both connections are closed; commands under way are answered first."""
        if self._flushes:
            await asyncio.gather(*self._flushes)
        await self._client.aclose()
        await self._blocking.aclose()

    async def _load(self) -> None:
        shas = await asyncio.gather(*(self.execute("SCRIPT", "LOAD", body) for body in self._bodies.values()))
        self._shas = dict(zip(self._bodies, (_text(sha) for sha in shas), strict=True))

    def _start_flush(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._flush(batch))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self, batch: Sequence[tuple[tuple[Any, ...], asyncio.Future[Reply]]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for command, _ in batch:
            pipeline.execute_command(*command)
        try:
            replies: Sequence[Reply] = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            replies = [error] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue  # who asked was cancelled
            if isinstance(reply, NoScriptError):
                future.set_exception(reply)
            elif isinstance(reply, Exception):
                future.set_exception(translated(reply))
            else:
                future.set_result(reply)


def translated(error: Exception) -> MaestroError:
    """Redis' failure in our words; recoverable or not is decided here, once."""
    if isinstance(error, OutOfMemoryError):
        return StoreRefused("the store is out of memory", hint="raise its maxmemory, or end continuations")
    if isinstance(error, ReadOnlyError) or str(error).startswith("MISCONF"):
        return StoreRefused(f"the store is read-only: {error}", hint="see `maestro doctor`: disk, replica, permissions")
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return StoreUnavailable(f"no answer from the store: {error}", hint="see `maestro status`; it is tried again")
    if isinstance(error, ResponseError):
        return StoreRefused(f"the store refused a command: {error}", hint="see `maestro doctor`")
    return StoreRefused(f"{type(error).__name__}: {error}")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
