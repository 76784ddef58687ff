"""A heart keeps an embedded store alive, and only that: no Ray runs here, so that all of this takes seconds.

What it does for Ray is shown in tests/e2e/test_heart_on_ray.py.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from actors import keeping
from actors.heart_files import Files, Told, Wish
from actors.store_look import StoreLook
from maestro.adapters.redis import server
from maestro.errors import StoreRefused
from maestro.settings import Settings

pytestmark = pytest.mark.timeout(300)

PATIENCE_S = 90.0
T = TypeVar("T")
HASTY = """
import sys
from actors import rhythm
rhythm.PAUSES_S = (0.0,)
from actors.heart import main
main(["heart", sys.argv[1]])
"""
"""A heart that does not pause between two restarts."""


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mh", dir="/tmp"))
    yield folder / "home"
    keeping.kill(folder / "home")
    server.purge(folder / "home")
    shutil.rmtree(folder)


def told_settings(home: Path, **given: object) -> str:
    return Settings.load(home=home, **given).to_json()


def kept(home: Path, **given: object) -> int:
    """The pid of a store that a heart keeps from now on."""
    keeping.keep(home, told_settings(home, **given), "store")
    return store_pid(home)


def store_pid(home: Path) -> int:
    info = server.running(home)
    assert info is not None
    return info.pid


def heard(home: Path) -> Told:
    told = keeping.heard_of(home)
    assert told is not None
    return told[0]


def eventually(look: Callable[[], T], enough: Callable[[T], object]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not enough(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def named(home: Path) -> list[str]:
    """Living processes that name this home, zombies included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(home) in " ".join(process.cmdline()):
                found.append(f"{process.pid} {process.name()} {process.status()}")
        except psutil.Error:
            continue
    return found


def test_a_store_that_was_killed_is_back_and_the_reason_is_told(home: Path) -> None:
    first = kept(home)
    assert (heard(home).state, heard(home).restarts) == ("keeping", 0)
    os.kill(first, signal.SIGKILL)
    told = eventually(lambda: heard(home), lambda told: told.restarts == 1 and told.state == "keeping")
    assert told.reason == "the store is gone"
    assert store_pid(home) != first
    assert not psutil.pid_exists(first), "it was reaped: no zombie is left"


def test_a_store_that_says_nothing_is_waited_for_and_ended_when_the_patience_is_over(home: Path) -> None:
    now = [1_000.0]
    look, pid = StoreLook(home, 60, lambda: now[0]), server.ensure(home).pid
    assert look() is None
    os.kill(pid, signal.SIGSTOP)
    assert look() is None, "silent for the first time"
    now[0] += 59
    assert (look(), server.standing(home)) == (None, "silent")
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: server.standing(home), lambda standing: standing == "answers")
    assert look() is None
    now[0] += 59
    os.kill(pid, signal.SIGSTOP)
    assert (look(), psutil.pid_exists(pid)) == (None, True), "it is silent anew"
    now[0] += 60
    assert look() == "the store did not answer for 60 s: kill -9"
    eventually(lambda: server.standing(home), lambda standing: standing == "gone")
    assert look() == "the store did not answer for 60 s: kill -9"
    server.ensure(home)
    assert look() is None


def test_a_store_that_hangs_is_started_again_by_the_heart(home: Path) -> None:
    first = kept(home, store_patience_ms=3_000)
    os.kill(first, signal.SIGSTOP)
    told = eventually(lambda: heard(home), lambda told: told.restarts == 1 and told.state == "keeping")
    assert told.reason == "the store did not answer for 3 s: kill -9"
    assert not psutil.pid_exists(first)
    assert store_pid(home) != first


def test_a_heart_that_was_killed_is_replaced_and_nothing_else_ends(home: Path) -> None:
    store = kept(home)
    first = heard(home).pid
    eventually(lambda: psutil.Process(first).children(), lambda children: len(children) == 2)  # the store, the pulse
    os.kill(first, signal.SIGKILL)
    eventually(lambda: heard(home), lambda told: told.pid != first and told.state == "keeping")
    assert store_pid(home) == store
    os.kill(store, signal.SIGKILL)
    eventually(lambda: heard(home), lambda told: told.restarts == 1 and told.state == "keeping")
    assert store_pid(home) != store


def test_what_a_person_took_down_stays_down(home: Path) -> None:
    kept(home)
    assert keeping.keep(home, told_settings(home), "store") == {"started": False}, "a second time changes nothing"
    assert keeping.release(home)
    assert eventually(lambda: named(home), lambda left: not left) == []
    assert server.running(home) is None
    assert keeping.heard_of(home) is None
    assert not keeping.release(home)


def test_whoever_asks_for_what_cannot_be_gets_the_error_itself_and_no_heart_stays(home: Path) -> None:
    server.ensure(home)
    server.stop(home)
    (home / "redis" / "written-by").write_text("Redis 99.0.0")
    with pytest.raises(StoreRefused):
        keeping.keep(home, told_settings(home), "store")
    eventually(lambda: Files.of(home).beats(), lambda beats: not beats)


def test_where_restarts_do_not_help_it_gives_up_with_the_reason_until_a_person_says_so(home: Path) -> None:
    files = Files.of(home)
    files.wish_for(Wish("w", "store", told_settings(home), str(Path.cwd())))
    with subprocess.Popen([sys.executable, "-c", HASTY, str(files.folder)], start_new_session=True) as heart:
        eventually(files.told, lambda told: told is not None and told.state == "keeping")
        (home / "redis" / "written-by").write_text("Redis 99.0.0")
        os.kill(store_pid(home), signal.SIGKILL)
        told = eventually(lambda: heard(home), lambda told: told.state == "gave_up")
        assert told.reason is not None
        assert told.reason.startswith("restarted 5 times within 300 s, and again: ")
        assert heart.poll() is None, "it stays to tell"
        (home / "redis" / "written-by").unlink()
        keeping.keep(home, told_settings(home), "store")
        assert heard(home).state == "keeping"
        keeping.release(home)
        heart.wait(PATIENCE_S)
