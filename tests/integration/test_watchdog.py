"""A process that hangs, swells or is left behind ends itself; each is shown on a process of its own."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import psutil
import pytest

from actors.watchdog import EXIT_STUCK, EXIT_SWOLLEN, MIB

PATIENCE_S = 60
WATCHED = """
    import asyncio, time
    from actors.watchdog import Limits, Watchdog

    async def main():
        Watchdog(asyncio.get_running_loop(), Limits(stuck_after_s={stuck}, memory_mib={memory}, look_s=0.05)).start()
        {then}

    asyncio.run(main())
"""
ALONE = """
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", {code!r}])
    print(child.pid, flush=True)
    time.sleep(600)
"""


def watched(then: str, stuck: float = 600, memory: int | None = None) -> str:
    return textwrap.dedent(WATCHED.format(then=then, stuck=stuck, memory=memory))


def exit_code(code: str) -> int:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, timeout=PATIENCE_S, stderr=subprocess.DEVNULL).returncode


def until(look: Callable[[], bool]) -> None:
    """`look` has come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_loop_that_does_not_turn_is_the_end_of_its_process() -> None:
    assert exit_code(watched("time.sleep(600)", stuck=0.3)) == EXIT_STUCK


def test_more_memory_than_may_be_is_the_end_of_its_process() -> None:
    resident = psutil.Process().memory_info().rss // MIB
    hoarding = f"hoard = b'x' * {(resident + 400) * MIB}; await asyncio.sleep(600)"
    assert exit_code(watched(hoarding, memory=resident + 200)) == EXIT_SWOLLEN


def test_whoever_does_no_wrong_goes_on() -> None:
    assert exit_code(watched("await asyncio.sleep(1)", stuck=5, memory=100_000)) == 0


def test_whoever_was_stopped_for_too_long_ends_itself_when_it_goes_on() -> None:
    """Somebody else has gone on with what it held (PROMISES R3, F37)."""
    code = watched("print('watched', flush=True); await asyncio.sleep(600)", stuck=1.0)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        until(lambda: time.monotonic() - stopped > 2.0)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE_S) == EXIT_STUCK


@pytest.mark.parametrize("reaped", [True, False], ids=["gone", "a zombie"])
def test_whoever_lost_its_parent_ends_itself(reaped: bool) -> None:
    """As a worker that lost its raylet, also where nobody has waited for the raylet yet (PROMISES R4)."""
    code = textwrap.dedent(ALONE.format(code=watched("await asyncio.sleep(600)")))
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    try:
        until(lambda: child.num_threads() > 1)  # its watchdog watches
        parent.kill()
        if reaped:
            parent.wait(PATIENCE_S)
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        if child.is_running():
            child.kill()
        parent.wait(PATIENCE_S)
        parent.stdout.close()
