"""Maestro as a whole on virtual time: random bad luck, and builds that must be caught.

`make sim` runs ten times as many seeds. A seed that fails is told, and `python -m maestro.testing --seed N` repeats it.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from maestro.budget.vector import Budget
from maestro.testing.checks import audit
from maestro.testing.loop import Standstill
from maestro.testing.simulation import Verdict, simulate
from maestro.testing.spread import spread
from maestro.testing.world import World
from tests.simulation.builds import WITHOUT, Build

SEEDS = int(os.environ.get("SIM_SEEDS", "1000"))
CAUGHT_WITHIN = 20  # seeds; the rarest of the planted defects shows in one of ten
SOON_S = 20.0
REACHED = {"held", "ready", "tried again", "done", "stream_event", "budget", "on hold, quarantined"}
REACHED |= {"approval_resolution or stream_event", "frozen", "user_reply", "scheduled_wake", "children"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.shows("3.2")
@pytest.mark.shows("3.8")
def test_no_seed_violates_anything_and_everybody_has_a_reason_at_every_quiet_moment() -> None:
    verdicts = list(spread(simulate, range(SEEDS)))

    assert {verdict.seed: verdict.violations for verdict in verdicts if verdict.violations} == {}
    assert sum(verdict.fenced for verdict in verdicts) > 0, "no stale holder ever tried to write: nothing was tested"
    assert all(verdict.ticks >= 8 for verdict in verdicts), "a run without work passes every check"
    assert sum(verdict.faults for verdict in verdicts) > SEEDS
    assert _reasons(verdicts) >= REACHED, "a state that no run reaches is one that nobody asked about"


def test_the_same_seed_gives_the_same_run_to_the_byte() -> None:
    assert [simulate(seed) for seed in range(3)] == [simulate(seed) for seed in range(3)]


def test_twenty_seeds_give_the_same_runs_in_processes_that_hash_differently() -> None:
    asked = "from maestro.testing.simulation import simulate\nfor n in range(20): print(simulate(n).fingerprint)"
    told = [
        subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(set(told[0])) == 20


@pytest.mark.shows("3.2")
@pytest.mark.parametrize("guard", WITHOUT)
def test_a_build_without_a_guard_is_caught(guard: str) -> None:
    build, words = WITHOUT[guard]
    verdict = _caught(build)
    assert any(word in violation for word in words for violation in verdict.violations), verdict.violations


def test_a_world_tells_what_became_of_everybody() -> None:
    with World(7) as world:
        cid = world.run(world.start("tally", "count", Budget(usd="1")))
        assert world.run(world.quiet())
        world.run(world.publish("sim.a", "one"))
        assert world.run(world.quiet())

        assert world.run(world.ids()) == [cid]
        assert world.run(audit(world)) == []
        assert world.time_s() < 60


def test_who_waits_for_what_cannot_come_is_told_at_once() -> None:
    async def forever() -> None:
        while True:  # noqa: ASYNC110 - it shall spin
            await asyncio.sleep(0)

    with World(1) as world, pytest.raises(Standstill, match="time has stood still"):
        world.run(forever())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the children of a process are read from /proc")
def test_a_killed_run_leaves_no_worker_behind() -> None:
    command = [sys.executable, "-m", "maestro.testing", "--seeds", "100000", "--jobs", "2"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        workers = _eventually(lambda: found if len(found := _working(run.pid)) == 2 else None)
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    assert _eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def _caught(build: Build) -> Verdict:
    """The first seed that fails."""
    for seed in range(CAUGHT_WITHIN):
        verdict = simulate(seed, build)
        if verdict.violations:
            print(f"caught by seed {seed}: {verdict.violations[0]}")
            return verdict
    pytest.fail(f"{CAUGHT_WITHIN} seeds saw nothing")


def _reasons(verdicts: list[Verdict]) -> set[str]:
    told = Counter[str]()
    for verdict in verdicts:
        told.update(dict(verdict.reasons))
    print(dict(told))
    return set(told)


def _working(parent: int) -> list[int]:
    """The children of `parent` that have begun to simulate: of a spawning pool, all but its resource tracker."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words, command = stat.read_text(), (stat.parent / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if int(words.rpartition(")")[2].split()[1]) == parent and "spawn_main" in command:
            found.append(int(stat.parent.name))
    return found


def _eventually(look):
    deadline_s = time.monotonic() + SOON_S
    while not (seen := look()):
        assert time.monotonic() < deadline_s, "it has not happened"
        time.sleep(0.05)
    return seen
