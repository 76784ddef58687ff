"""The wire to a real server: order, cancellation, a server that hangs, dies and comes back."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from maestro.adapters.redis import server
from maestro.adapters.redis.wire import Wire
from maestro.errors import StoreRefused, StoreUnavailable


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a running server; its socket's path must be short."""
    home = Path(tempfile.mkdtemp(prefix="mw-", dir="/tmp"))
    server.ensure(home)
    try:
        yield home
    finally:
        server.ensure(home)  # a test may have killed it
        server.purge(home)
        shutil.rmtree(home)


@pytest.fixture
async def wire(home: Path) -> AsyncIterator[Wire]:
    wire = Wire(server.ensure(home).url, socket_timeout_s=0.5)
    yield wire
    await wire.close()


def kill(home: Path) -> None:
    """The server is gone, and nothing listens."""
    pid = server.ensure(home).pid
    os.kill(pid, signal.SIGKILL)
    while server.running(home) is not None:
        pass


async def test_each_asker_gets_its_own_reply_over_many_turns(wire: Wire) -> None:
    async def ask(number: int) -> bytes:
        await asyncio.sleep(number % 7 / 1_000)
        return bytes(await wire.execute("ECHO", str(number)))

    assert await asyncio.gather(*map(ask, range(500))) == [str(number).encode() for number in range(500)]


async def test_what_is_asked_first_is_carried_out_first(wire: Wire) -> None:
    await asyncio.gather(*(wire.execute("RPUSH", "list", str(number)) for number in range(200)))
    assert await wire.execute("LRANGE", "list", 0, -1) == [str(number).encode() for number in range(200)]


async def test_an_asker_that_goes_away_takes_nobody_elses_reply(wire: Wire) -> None:
    await wire.execute("PING")
    gone = asyncio.create_task(wire.execute("ECHO", "gone"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await wire.execute("ECHO", "stays") == b"stays"


async def test_a_refusal_is_for_the_one_who_asked(wire: Wire) -> None:
    refused, answered = await asyncio.gather(wire.execute("NONSENSE"), wire.execute("PING"), return_exceptions=True)
    assert isinstance(refused, StoreRefused)
    assert answered == b"PONG"


async def test_a_server_that_came_back_while_nothing_was_asked_is_met_without_a_failure(home: Path, wire: Wire) -> None:
    await wire.execute("SET", "kept", "1")
    kill(home)
    server.ensure(home)
    assert await wire.execute("GET", "kept") == b"1"


async def test_what_is_under_way_when_the_server_dies_is_unknown_and_the_next_finds_the_new_one(
    home: Path, wire: Wire
) -> None:
    pid = server.ensure(home).pid
    await wire.execute("PING")
    os.kill(pid, signal.SIGSTOP)
    under_way = [asyncio.create_task(wire.execute("PING")) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    outcomes = await asyncio.gather(*under_way, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    server.ensure(home)
    assert await wire.execute("PING") == b"PONG"


async def test_a_server_that_hangs_is_not_waited_for_without_end(home: Path, wire: Wire) -> None:
    pid = server.ensure(home).pid
    await wire.execute("PING")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable):
            await wire.execute("PING")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert await wire.execute("ECHO", "after") == b"after"


async def test_where_nobody_listens_it_says_so(tmp_path: Path) -> None:
    wire = Wire(f"unix://{tmp_path}/none")
    with pytest.raises(StoreUnavailable):
        await wire.execute("PING")
    await wire.close()


async def test_an_idle_wait_ends_when_it_is_cancelled(wire: Wire) -> None:
    for pause_s in (0, 0.0005, 0.001, 0.002, 0.005) * 10:
        waiting = asyncio.create_task(wire.pop(["nothing"], 60_000))
        await asyncio.sleep(pause_s)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=5)
        assert waiting.cancelled()
