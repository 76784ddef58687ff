"""A TCP proxy of one's own: what a network does to a connection, between a client and its server.

    async with Proxy("unix:/run/redis.sock") as proxy:
        connect(proxy.port)
        proxy.mode = Mode.BLACKHOLE

Invariants: bytes of a live connection arrive in order or not at all; where bytes were lost, the connection is reset as
soon as anything could pass again, as TCP would do; a healed partition delivers what was held back.
What it is not: a shaper of packets. It sees streams, and no more of them than the operating system hands it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

CHUNK = 64 * 1024
SLICE_S = 0.05  # a throttled direction passes its share of a second in such slices


class Mode(StrEnum):
    """What happens to what passes."""

    PASS = "pass"  # noqa: S105 - no password
    DELAY = "delay"
    """Each chunk arrives `delay_s` later."""
    THROTTLE = "throttle"
    """At most `bytes_per_s` in each direction."""
    BLACKHOLE = "blackhole"
    """A partition: nothing arrives, nothing is refused; what was held back arrives when it is healed."""
    RESET = "reset"
    """Connections are reset, new ones at once."""
    DEAF_SERVER = "deaf_server"
    """Half open: what the client says is lost."""
    DEAF_CLIENT = "deaf_client"
    """Half open: what the server says is lost."""
    DUPLICATE = "duplicate"
    """The server hears each connection twice; the answers to the second are lost."""


class Way(StrEnum):
    UP = "client to server"
    DOWN = "server to client"


_LOSES = {Mode.DEAF_SERVER: Way.UP, Mode.DEAF_CLIENT: Way.DOWN}


@dataclass(eq=False, slots=True)
class _Link:
    """One connection and its other half."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    twin: asyncio.StreamWriter | None = None
    lost: int = 0
    """Bytes that will never arrive."""

    def abort(self) -> None:
        for writer in (self.client, self.server, self.twin):
            if writer is not None:
                writer.transport.abort()


@dataclass(eq=False, slots=True)
class Proxy:
    """A listener on a port of its own, in front of one server.

    Args:
        upstream: `unix:PATH` or `HOST:PORT`.
    """

    upstream: str
    delay_s: float = 0.05
    bytes_per_s: int = 4_096
    accepted: int = 0
    dropped_replies: int = 0
    _mode: Mode = Mode.PASS
    _replies_to_drop: int = 0
    _healed: asyncio.Event = field(default_factory=asyncio.Event)
    _links: set[_Link] = field(default_factory=set)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._healed.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - it was entered
        self._server.close()
        self.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None  # noqa: S101 - it was entered
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.BLACKHOLE:
            self._healed.clear()
        else:
            self._healed.set()
        if mode is Mode.RESET:
            self.reset()
        for link in tuple(self._links):
            if link.lost and mode not in _LOSES:
                link.abort()

    def reset(self) -> None:
        """Every connection of now is reset."""
        for link in tuple(self._links):
            link.abort()

    def drop_replies(self, count: int = 1) -> None:
        """The next answers are lost after their requests were heard; the connections they belong to are reset."""
        self._replies_to_drop += count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of a server is a task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._mode is Mode.RESET:
            writer.transport.abort()
            return
        # cancelled is only who outlives the proxy; asyncio 3.11 would log a handler that ends so as a defect
        with contextlib.suppress(OSError, asyncio.CancelledError):
            async with self._linked(writer) as (link, answers):
                await self._carry(link, reader, answers)

    @contextlib.asynccontextmanager
    async def _linked(self, client: asyncio.StreamWriter) -> AsyncIterator[tuple[_Link, asyncio.StreamReader]]:
        link: _Link | None = None
        try:
            await self._healed.wait()
            answers, server = await self._dial()
            link = _Link(client, server)
            if self._mode is Mode.DUPLICATE:
                _, link.twin = await self._dial()
            self._links.add(link)
            yield link, answers
        finally:
            client.transport.abort()
            if link is not None:
                link.abort()
                self._links.discard(link)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream.startswith("unix:"):
            return await asyncio.open_unix_connection(self.upstream.removeprefix("unix:"))
        host, _, port = self.upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _carry(self, link: _Link, asked: asyncio.StreamReader, answers: asyncio.StreamReader) -> None:
        """Both directions, until either side ends."""
        ways = [
            asyncio.create_task(self._pump(link, asked, link.server, Way.UP)),
            asyncio.create_task(self._pump(link, answers, link.client, Way.DOWN)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        while data := await reader.read(CHUNK):
            await self._healed.wait()
            if way is Way.DOWN and self._replies_to_drop:
                self._replies_to_drop -= 1
                self.dropped_replies += 1
                link.abort()
                return
            if _LOSES.get(self._mode) is way:
                link.lost += len(data)
                continue
            await self._slowed(writer, data)
            if link.twin is not None and way is Way.UP:
                link.twin.write(data)

    async def _slowed(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._mode is Mode.DELAY:
            await asyncio.sleep(self.delay_s)
        share = max(1, int(self.bytes_per_s * SLICE_S)) if self._mode is Mode.THROTTLE else len(data)
        for first in range(0, len(data), share):
            writer.write(data[first : first + share])
            await writer.drain()
            if self._mode is Mode.THROTTLE:
                await asyncio.sleep(SLICE_S)
