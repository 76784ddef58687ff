"""The kernel tells of the end of a real process, once, and not those who have forgotten it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from actors.deathwatch import on_end

PATIENCE_S = 20.0
LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as running:
        yield running
        running.kill()


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def carried(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs to the end on a loop of that kind; Ray's actors have uvloop's."""

    def run(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(work, PATIENCE_S))

    return run


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_an_end_is_told_once_and_nothing_stays_open(carried: Any, process: subprocess.Popen[bytes]) -> None:
    async def watched() -> None:
        told: asyncio.Queue[str] = asyncio.Queue()
        before = open_files()
        forget = on_end(process.pid, lambda: told.put_nowait("ended"))
        await asyncio.sleep(0)
        assert told.empty(), "it lives"
        process.kill()
        assert await told.get() == "ended"
        assert open_files() == before
        forget()
        assert told.empty()

    carried(watched())


def test_what_was_forgotten_is_not_told(carried: Any, process: subprocess.Popen[bytes]) -> None:
    async def watched() -> None:
        told: list[str] = []
        other = asyncio.Event()
        before = open_files()
        on_end(process.pid, lambda: told.append("ended"))()
        assert open_files() == before
        on_end(process.pid, other.set)  # whoever still watches hears it, and by then the first would have
        process.kill()
        await other.wait()
        assert told == []

    carried(watched())


def test_a_process_that_is_not_there_is_left_to_ray(carried: Any, process: subprocess.Popen[bytes]) -> None:
    async def watched() -> None:
        process.kill()
        process.wait()
        on_end(process.pid, lambda: pytest.fail("nobody saw it end"))()

    carried(watched())
