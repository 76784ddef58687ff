"""What a network does, in front of a server that answers each line with its echo."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from maestro.chaos.proxy import Mode, Proxy

SOON_S, NEVER_S = 10.0, 0.3
TALKS: list["Talk"] = []
"""Those of the test that runs."""


class World(NamedTuple):
    proxy: Proxy
    heard: list[bytes]


class Talk:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, proxy: Proxy) -> "Talk":
        talk = cls(*await asyncio.open_connection("127.0.0.1", proxy.port))
        TALKS.append(talk)
        return talk

    async def asks(self, line: bytes, within_s: float = SOON_S) -> bytes:
        """The answer; empty when the connection ended."""
        self.writer.write(line + b"\n")
        return await self.hears(within_s)

    async def hears(self, within_s: float = SOON_S) -> bytes:
        async with asyncio.timeout(within_s):
            try:
                return (await self.reader.readline()).strip()
            except ConnectionError:
                return b""


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    """No connection outlives its test."""
    TALKS.clear()
    yield
    for talk in TALKS:
        talk.writer.close()
        with contextlib.suppress(ConnectionError):
            await talk.writer.wait_closed()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                heard.append(line.strip())
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        yield World(proxy, heard)
    server.close()
    await server.wait_closed()


async def test_it_passes(world: World) -> None:
    assert await (await Talk.to(world.proxy)).asks(b"hello") == b"hello"


async def test_it_delays(world: World) -> None:
    talk = await Talk.to(world.proxy)
    world.proxy.delay_s, world.proxy.mode = NEVER_S * 2, Mode.DELAY
    with pytest.raises(TimeoutError):
        await talk.asks(b"late", NEVER_S)
    assert await talk.hears() == b"late"


async def test_it_throttles(world: World) -> None:
    talk = await Talk.to(world.proxy)
    world.proxy.bytes_per_s, world.proxy.mode = 1_000, Mode.THROTTLE
    with pytest.raises(TimeoutError):
        await talk.asks(b"x" * 900, NEVER_S)
    assert await talk.hears() == b"x" * 900


async def test_behind_a_partition_nothing_arrives_until_it_heals(world: World) -> None:
    talk = await Talk.to(world.proxy)
    assert await talk.asks(b"before") == b"before"
    world.proxy.mode = Mode.BLACKHOLE
    with pytest.raises(TimeoutError):
        await talk.asks(b"during", NEVER_S)
    assert world.heard == [b"before"]
    world.proxy.mode = Mode.PASS
    assert await talk.hears() == b"during"


async def test_a_reset_ends_what_is_open_and_what_is_new(world: World) -> None:
    talk = await Talk.to(world.proxy)
    assert await talk.asks(b"before") == b"before"
    world.proxy.mode = Mode.RESET
    assert await talk.hears() == b""
    assert await (await Talk.to(world.proxy)).hears() == b""
    world.proxy.mode = Mode.PASS
    assert await (await Talk.to(world.proxy)).asks(b"after") == b"after"


@pytest.mark.parametrize(("mode", "heard"), [(Mode.DEAF_SERVER, []), (Mode.DEAF_CLIENT, [b"lost"])])
async def test_half_open_one_direction_is_lost_and_the_connection_with_it(
    world: World, mode: Mode, heard: list[bytes]
) -> None:
    talk = await Talk.to(world.proxy)
    assert await talk.asks(b"first") == b"first"
    world.proxy.mode = mode
    with pytest.raises(TimeoutError):
        await talk.asks(b"lost", NEVER_S)
    assert world.heard[1:] == heard
    world.proxy.mode = Mode.PASS
    assert await talk.hears() == b"", "bytes are missing in it: it cannot go on"


async def test_a_dropped_reply_was_heard_and_its_connection_ends(world: World) -> None:
    talk = await Talk.to(world.proxy)
    world.proxy.drop_replies()
    assert await talk.asks(b"done") == b""
    assert world.heard == [b"done"]
    assert await (await Talk.to(world.proxy)).asks(b"again") == b"again"
    assert world.proxy.dropped_replies == 1


async def test_a_duplicated_connection_is_heard_twice_and_answered_once(world: World) -> None:
    world.proxy.mode = Mode.DUPLICATE
    talk = await Talk.to(world.proxy)
    assert await talk.asks(b"once") == b"once"
    async with asyncio.timeout(SOON_S):
        while len(world.heard) < 2:  # noqa: ASYNC110 - the other half rings no bell
            await asyncio.sleep(0.01)
    assert world.heard == [b"once", b"once"]
    with pytest.raises(TimeoutError):
        await talk.hears(NEVER_S)


async def test_a_server_that_is_not_there_ends_the_connection() -> None:
    async with Proxy("unix:/nonexistent/socket") as proxy:
        assert await (await Talk.to(proxy)).hears() == b""
