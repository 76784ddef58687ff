"""The heart of one machine: whatever of it is killed, it is whole again unaided, and no process is left behind.

One installation serves the tests in the order in which they stand, because each start costs seconds.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors import cluster, keeping
from actors.heart_files import Told
from actors.processes import lives
from maestro.adapters.redis import server
from tests.e2e.support import Site, eventually, site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ORPHAN_S = 15.0
ORDERLY_S = 30.0
MEND_S = 240.0


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    """Up, with one sleeper that counts what it hears."""
    with site() as made:
        made.up()
        made.start("counter", "--goal", "hear news", "--input", '{"subscribe": "demo.news"}', name="listener")
        eventually(lambda: made.glance(made.client.get("listener")).rev, lambda rev: rev == 1)
        yield made


def heart(here: Site) -> Told:
    heard = keeping.heard_of(here.settings.home)
    assert heard is not None
    return heard[0]


def whole_again(here: Site, restarts: int) -> Told:
    """What the heart tells after so many restarts, with everything running."""
    return eventually(lambda: heart(here), lambda told: told.restarts == restarts and told.state == "keeping", MEND_S)


def hears(here: Site) -> None:
    """News reach the listener."""
    before = here.state("listener")["events"]
    here.tell("publish", "demo.news", f'{{"number": {before + 1}}}')
    eventually(lambda: here.state("listener")["events"], lambda events: events == before + 1)


def of_ray(here: Site, name: str) -> psutil.Process:
    found = cluster.running(here.settings)
    assert found is not None
    return psutil.Process(found.pids[name])


@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_after_kill_9_of_a_part_of_ray_all_of_it_runs_again(here: Site, victim: str) -> None:
    before, restarts = here.processes(), heart(here).restarts
    process = of_ray(here, victim)
    process.kill()
    told = whole_again(here, restarts + 1)
    assert told.reason == f"{victim} {process.pid} is gone"
    assert not psutil.pid_exists(process.pid), "it was reaped: no zombie keeps its workers alive"
    eventually(lambda: [old.pid for old in before if lives(old)], lambda left: not left, ORPHAN_S)
    hears(here)


def test_after_kill_9_of_the_heart_nothing_else_ended(here: Site) -> None:
    before, first = {process.pid for process in here.processes()}, heart(here).pid
    store = server.running(here.settings.home)
    os.kill(first, signal.SIGKILL)
    told = eventually(lambda: heart(here), lambda told: told.pid != first and told.state == "keeping", MEND_S)
    assert told.restarts == 0
    assert {process.pid for process in here.processes()} >= {of_ray(here, "raylet").pid, of_ray(here, "gcs_server").pid}
    assert {of_ray(here, "raylet").pid, of_ray(here, "gcs_server").pid} <= before
    assert store is not None
    assert psutil.pid_exists(store.pid)
    line = here.run("status")
    assert f"keeps this alive, pid {told.pid}" in line
    hears(here)


@pytest.mark.shows("4.6")
def test_after_kill_9_of_everything_at_once_no_process_is_left_and_up_brings_all_back(here: Site) -> None:
    before = here.state("listener")["events"]
    here.leave()
    for line in here.traces():
        os.kill(int(line.split()[0]), signal.SIGKILL)
    eventually(here.traces, lambda left: not left, ORPHAN_S)
    here.up()
    assert here.state("listener")["events"] == before
    hears(here)


def test_f81_after_sigterm_ticks_are_ended_or_handed_back_and_nothing_is_left(here: Site) -> None:
    handle = here.client.get("listener")
    before, reclaimed = here.glance(handle), here.counts().get("reclaimed", 0)
    handle.send({"sleep_ms": 3_000})
    eventually(lambda: here.glance(handle).holder, bool, every_s=0.01)
    here.leave()
    begun = time.monotonic()
    os.kill(heart(here).pid, signal.SIGTERM)
    eventually(here.traces, lambda left: not left, 4 * ORDERLY_S)
    print(f"\nall ended after SIGTERM: {time.monotonic() - begun:.1f} s")
    server.ensure(here.settings.home)
    after = here.glance(handle)
    assert after.holder is None
    assert (after.rev, after.tries) in {(before.rev + 1, 0), (before.rev, 0)}, "it ended, or waits uncounted"
    assert here.counts().get("reclaimed", 0) == reclaimed, "nobody had to take it from a dead holder"
    log = Path(here.settings.home / "logs" / "supervisor-pools.jsonl").read_text()
    assert "child ended" not in log.rpartition("supervisor is up")[2], "an orderly end is no crash"
