"""The end of a cluster's processes, seen on processes that only bear its mark."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from actors import processes
from actors.processes import MARK, Signs, find, pid_lives, stop_all

YIELDING = "print('here', flush=True); import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {YIELDING}"


class Marked:
    """Processes of one cluster."""

    def __init__(self, mark: str, stack: ExitStack) -> None:
        self.signs = Signs(mark)
        self._stack = stack

    def begin(self, code: str) -> int:
        environment, command = {**os.environ, MARK: self.signs.mark}, [sys.executable, "-c", code]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self._stack.callback(child.wait)
        self._stack.callback(child.kill)
        assert child.stdout is not None
        self._stack.enter_context(child.stdout)
        assert child.stdout.readline() == "here\n"
        return child.pid


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Marked]:
    monkeypatch.setattr(processes, "REST_GRACE_S", 0.2)
    with ExitStack() as stack:
        yield Marked(str(tmp_path), stack)


def test_they_are_asked_first_and_whoever_does_not_heed_is_killed(marked: Marked) -> None:
    pids = [marked.begin(YIELDING), marked.begin(STUBBORN)]
    ended = stop_all(marked.signs)
    assert ended
    assert [_pids(ended.orderly), _pids(ended.forced)] == [pids[:1], pids[1:]]
    assert not any(map(pid_lives, pids))
    assert find(marked.signs) == []


def test_of_another_cluster_nobody_is_touched(marked: Marked) -> None:
    pid = marked.begin(YIELDING)
    assert not stop_all(Signs(f"{marked.signs.mark}-other"))
    assert pid_lives(pid)


def _pids(names: Sequence[str]) -> list[int]:
    return [int(name.split()[-1]) for name in names]
