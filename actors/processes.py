"""Which processes of this machine belong to one local Ray cluster, and their end.

A process is ours when its environment carries our mark; or when it runs in a session that a node was started in,
because a long process title may overwrite what the system shows of an environment; and so are their descendants.

Invariants: this process and its ancestors are never ours; nor is whoever merely reads our files; `ray stop`, which ends
every Ray on the machine, is never used.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray

MARK = "MAESTRO_CLUSTER"
"""Variable in the environment of each process of a cluster; its value is the cluster's temp folder."""
RAYLET_GRACE_S = 10.0  # its workers end with it
REST_GRACE_S = 5.0
KILL_S = 10.0


@dataclass(frozen=True, slots=True)
class Signs:
    """By what the processes of one cluster are known."""

    mark: str
    sessions: frozenset[int] = frozenset()
    """Session ids of those who started its nodes, since the machine was started."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The processes that are gone now, by name and pid."""

    orderly: tuple[str, ...] = ()
    forced: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.orderly or self.forced)


def boot_id() -> str:
    """The same for as long as the machine is up: pids and sessions mean nothing beyond."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    return linux.read_text().strip() if linux.exists() else str(int(psutil.boot_time()) // 60)


def find(signs: Signs) -> Sequence[psutil.Process]:
    """The living processes of the cluster; a zombie does not live."""
    ourselves = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid not in found and process.pid not in ourselves and _is_ours(process, signs):
            found[process.pid] = process
            with contextlib.suppress(psutil.Error):
                found.update((child.pid, child) for child in process.children(recursive=True))
    return [process for process in found.values() if process.pid not in ourselves and lives(process)]


def lives(process: psutil.Process) -> bool:
    """True while the process runs; false for a zombie, which only waits to be collected by its parent."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def pid_lives(pid: int) -> bool:
    """True while a process of that pid runs, and is no zombie."""
    try:
        return lives(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def named(process: psutil.Process) -> str:
    """Name and pid for people; the name is unknown once the process is gone."""
    try:
        return f"{process.name()} {process.pid}"
    except psutil.Error:
        return f"process {process.pid}"


def end(processes: Iterable[psutil.Process], sign: signal.Signals, patience_s: float) -> Sequence[psutil.Process]:
    """Each got the signal; returns those that still live after `patience_s`."""
    living = [process for process in processes if lives(process)]
    for process in living:
        with contextlib.suppress(psutil.NoSuchProcess):  # it went first
            process.send_signal(sign)
    return wait_gone(living, patience_s)


def wait_gone(processes: Iterable[psutil.Process], patience_s: float) -> Sequence[psutil.Process]:
    """Those of `processes` that still live after `patience_s`; children of this process are collected."""
    living, deadline = list(processes), time.monotonic() + patience_s
    while (living := [process for process in living if lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return living


def stop_all(signs: Signs) -> Ended:
    """No process of the cluster lives; they were asked first, the raylets before the rest."""
    living = find(signs)
    names = [named(process) for process in living]
    raylets = [process for process, name in zip(living, names, strict=True) if name.startswith("raylet ")]
    end(raylets, signal.SIGTERM, RAYLET_GRACE_S)
    end(find(signs), signal.SIGTERM, REST_GRACE_S)
    forced = kill_all(signs)
    return Ended(tuple(name for name in names if name not in forced), tuple(forced))


def kill_all(signs: Signs) -> Sequence[str]:
    """No process of the cluster lives, nor those that were being started meanwhile; returns their names.

    Returns what it killed; what outlives KILL_S of SIGKILL is stuck in the kernel, and is found again next time.
    """
    killed: list[str] = []
    deadline = time.monotonic() + KILL_S
    while (found := find(signs)) and time.monotonic() < deadline:
        killed += [named(process) for process in found]
        end(found, signal.SIGKILL, patience_s=1.0)
    return killed


def kill_session(session: int) -> None:
    """No process of Ray's lives in that session."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and _is_ray(process):
                process.kill()


def _is_ours(process: psutil.Process, signs: Signs) -> bool:
    try:
        if process.environ().get(MARK) == signs.mark:
            return True
        return os.getsid(process.pid) in signs.sessions and _is_ray(process)
    except (psutil.Error, ProcessLookupError):
        return False  # gone, or of another user


def _is_ray(process: psutil.Process) -> bool:
    """Session ids come round again in a long uptime: a stranger's shell must not be taken for ours."""
    program = Path(process.exe())
    return program.is_relative_to(Path(ray.__file__).parent) or program == Path(sys.executable).resolve()
