"""The bare loops: what one would write straight on Redis, with the same server, the same fsync and 1 KB of state.

The client is about the cheapest that Python allows: one connection, all commands of one turn of the event loop in one
write, replies parsed by hiredis. What it does is the least that is durable and fenced, and nothing of what Maestro
promises beside it: no mail, no log chain, no ledger, no waits, no reasons.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any, cast

import hiredis
import orjson
from redis.connection import parse_url

from benchmarks.behaviours import PADDING

Argument = str | bytes

COMMIT = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[3])
return redis.call('HINCRBY', KEYS[1], 'rev', 1)
"""
TAKE = "return {redis.call('HINCRBY', KEYS[1], 'epoch', 1), redis.call('HGET', KEYS[1], 'state')}"
JOURNAL_LINE = "e" * 60


class Bare(asyncio.Protocol):
    """One pipelining connection."""

    def __init__(self) -> None:
        self._replies = hiredis.Reader()
        self._packed: list[bytes] = []
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._shas: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._replies.feed(data)
        while (reply := self._replies.gets()) is not False:
            asked = self._asked.popleft()
            if isinstance(reply, Exception):
                asked.set_exception(reply)
            else:
                asked.set_result(reply)

    def ask(self, *command: Any) -> Awaitable[Any]:
        """The reply to one command, sent with all others of this turn."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Any] = loop.create_future()
        self._asked.append(asked)
        if not self._packed:
            loop.call_soon(self._send)
        self._packed.append(hiredis.pack_command(command))
        return asked

    async def script(self, body: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """The reply of a script, by EVALSHA."""
        if body not in self._shas:
            self._shas[body] = (await self.ask("SCRIPT", "LOAD", body)).decode()
        return await self.ask("EVALSHA", self._shas[body], str(len(keys)), *keys, *arguments)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self._packed))
        self._packed.clear()


async def connect(url: str) -> Bare:
    """A connection to the server of a stage."""
    where = parse_url(url)  # type: ignore[no-untyped-call]
    _, bare = await asyncio.get_running_loop().create_unix_connection(Bare, where["path"])
    await bare.ask("AUTH", where["password"])
    return bare


def state(n: int) -> bytes:
    """As much as a measured behaviour keeps."""
    return orjson.dumps({"n": n, "notes": PADDING, "seconds": []})


async def rows(bare: Bare, count: int) -> None:
    """`count` rows exist: state, epoch, rev."""
    for first in range(0, count, 500):
        numbers = range(first, min(count, first + 500))
        await asyncio.gather(*(bare.ask("HSET", *row(number)) for number in numbers))


def row(number: int) -> tuple[Argument, ...]:
    return f"c:{number}", "state", state(0), "epoch", "1", "rev", "0"


async def tick(bare: Bare, number: int) -> None:
    """One load and one fenced commit."""
    loaded = orjson.loads((await bare.ask("HMGET", f"c:{number}", "state", "epoch", "rev"))[0])
    loaded["n"] += 1
    await commit(bare, number, orjson.dumps(loaded))


async def commit(bare: Bare, number: int, body: bytes, epoch: Argument = "1") -> None:
    """The fenced write of a state and a journal line."""
    await bare.script(COMMIT, [f"c:{number}", f"j:{number}"], epoch, body, JOURNAL_LINE)


async def take(bare: Bare, number: int) -> tuple[bytes, bytes]:
    """The row's new epoch and its state."""
    epoch, body = await bare.script(TAKE, [f"c:{number}"])
    return str(epoch).encode(), body
