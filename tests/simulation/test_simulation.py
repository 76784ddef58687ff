"""Maestro as a whole on virtual time: random bad luck, three weeks cut anywhere, and builds that must be caught.

`make sim` runs ten times as many seeds. A seed that fails is told, and `python -m maestro.testing --seed N` repeats it.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import pytest

from maestro.adapters.memory import commit as commits
from maestro.adapters.memory.lists import Seen
from maestro.adapters.memory.state import PartitionState
from maestro.budget import ledger
from maestro.budget.vector import Budget
from maestro.testing.checks import audit
from maestro.testing.loop import Standstill
from maestro.testing.simulation import Verdict, simulate
from maestro.testing.story import cuts, tell
from maestro.testing.world import World
from maestro.tick.store import Commit

SEEDS = int(os.environ.get("SIM_SEEDS", "1000"))
CAUGHT_WITHIN = 60  # seeds; a build without one of the four guards is caught long before
JOBS = os.cpu_count() or 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_seed_violates_anything() -> None:
    verdicts = _spread(simulate, list(range(SEEDS)))

    assert {verdict.seed: verdict.violations for verdict in verdicts if verdict.violations} == {}
    assert sum(verdict.fenced for verdict in verdicts) > 0, "no stale holder ever tried to write: nothing was tested"
    assert all(verdict.ticks >= 8 for verdict in verdicts), "a run without work passes every check"
    assert sum(verdict.faults for verdict in verdicts) > SEEDS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_weeks_end_the_same_wherever_a_process_dies() -> None:
    whole = tell()
    assert (whole.wrong, whole.findings, whole.ticks) == ((), 9, 60)

    stories = _spread(tell, list(cuts(whole)))

    assert len(stories) == 2 * len(whole.writes) > 500
    assert [story.cut for story in stories if story.cut is None] == [], "a cut point that was never reached"
    assert [(story.cut, story.wrong) for story in stories if story.state != whole.state or story.wrong] == []


def test_the_same_seed_gives_the_same_run_to_the_byte() -> None:
    assert [simulate(seed) for seed in range(5)] == [simulate(seed) for seed in range(5)]
    assert len({simulate(seed).fingerprint for seed in range(5)}) == 5


def test_the_same_seed_gives_the_same_run_in_another_process() -> None:
    told = {_fingerprint_elsewhere(hash_seed) for hash_seed in ("1", "2")}
    assert told == {simulate(3).fingerprint}


def test_a_build_without_fencing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "held", lambda state, cid, epoch: state.rows[cid])
    assert any("I3" in violation for violation in _caught().violations)


def test_a_build_without_dedupe_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seen, "__contains__", lambda seen, key: False)
    assert any("I4" in violation or "twice" in violation for violation in _caught().violations)


def test_a_build_without_reservations_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "reserve", lambda ledger, call, price: ledger)
    assert any("I7" in violation for violation in _caught().violations)


def test_a_build_without_an_outbox_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    send: Callable[[PartitionState, Commit], None] = commits._send
    monkeypatch.setattr(commits, "_send", lambda state, commit: send(state, replace(commit, outbox=())))
    assert any("I4" in violation for violation in _caught().violations)


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


def _caught() -> Verdict:
    """The first seed that fails."""
    for seed in range(CAUGHT_WITHIN):
        verdict = simulate(seed)
        if verdict.violations:
            print(f"caught by seed {seed}: {verdict.violations[0]}")
            return verdict
    pytest.fail(f"{CAUGHT_WITHIN} seeds saw nothing")


def _fingerprint_elsewhere(hash_seed: str) -> str:
    asked = "from maestro.testing.simulation import simulate; print(simulate(3).fingerprint)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    told = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    return told.stdout.strip()


def _spread(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    with ProcessPoolExecutor(JOBS, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, items, chunksize=8))
