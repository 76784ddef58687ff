"""Children as Unix has them: begun, adopted when their parent dies, reaped when they end."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Whatever a descendant leaves behind becomes a child of this process; elsewhere than on Linux, of init."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reaped() -> Iterator[int]:
    """Each child that has ended; nothing of it is left, no zombie either."""
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            yield pid


def has_children() -> bool:
    """True while a child lives, or waits to be reaped."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def spawn(module: str, *arguments: str, stdin: int | None = None, stdout: int | None = None) -> int:
    """The pid of a Python module that runs as a child, in a process group of its own."""
    moved = [(os.POSIX_SPAWN_DUP2, given, to) for to, given in ((0, stdin), (1, stdout)) if given is not None]
    command = [sys.executable, "-m", module, *arguments]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=moved, setpgroup=0)


def kill_group(pid: int) -> None:
    """The child of that pid, and what it began without a group of its own, got kill -9."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
