"""What `maestro up` takes on one machine at rest: processes, memory, CPU; who of it takes how much.

Memory is proportional (PSS): in the sum, pages that several processes share count once.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from actors import installation
from actors.local_ray import Place
from actors.processes import find
from benchmarks.report import Goal, Outcome, Row, Scale
from maestro.adapters.redis import server
from maestro.settings import Settings

PROCESSES, MEMORY, SHARE = (
    f"`maestro up` at rest: {what}" for what in ("processes", "memory (PSS)", "share of one core")
)
MIB = 1024 * 1024
SETTLE_S = 10.0
"""Idle workers of the start have gone to work, caches are warm."""


async def measure(scale: Scale) -> Outcome:
    return await asyncio.to_thread(_measure, 5.0 if scale is Scale.QUICK else 30.0)


def _measure(watch_s: float) -> Outcome:
    home = Path(tempfile.mkdtemp(prefix="mf-", dir="/tmp"))
    settings = Settings.load(home=home)
    try:
        installation.up_and_kept(settings)
        time.sleep(SETTLE_S)
        return taken(settings, watch_s)
    finally:
        installation.down(settings)
        server.purge(home)


def taken(settings: Settings, watch_s: float) -> Outcome:
    """What the installation of those settings takes now; its share of a core over the next seconds."""
    ours = _ours(settings)
    by_kind: dict[str, float] = defaultdict(float)
    for kind, mib in _memory(ours):
        by_kind[kind] += mib
    cpu = _cpu_share(ours, watch_s)
    rows = (
        Row(PROCESSES, "", len(ours), None, None),
        Row(MEMORY, "MiB", sum(by_kind.values()), None, None),
        Row(SHARE, "%", 100 * cpu, None, Goal("<= 25 %", at_most=25, absolute=True)),
    )
    most_first = sorted(by_kind.items(), key=lambda held: -held[1])
    return Outcome("footprint", rows, {"mib_by_kind": {kind: round(mib, 1) for kind, mib in most_first}})


def _ours(settings: Settings) -> Sequence[psutil.Process]:
    """Ray's processes, the embedded store, the heart and its pulse."""
    rest = [process for process in psutil.process_iter() if str(settings.home) in " ".join(_command(process))]
    found = {process.pid: process for process in (*find(Place.of(settings).signs()), *rest)}
    found.pop(os.getpid(), None)
    return [process for process in found.values() if process.is_running()]


def _memory(processes: Sequence[psutil.Process]) -> Iterator[tuple[str, float]]:
    """Kind and MiB of each that lives still; one that has ended since takes nothing."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            yield _kind(process), process.memory_full_info().pss / MIB


def _kind(process: psutil.Process) -> str:
    command = _command(process)
    if command[0].startswith("ray::"):
        return "idle workers" if "IDLE" in command[0] else "actors" if "Agent" not in command[0] else "Ray's agents"
    modules = [word for word in command if word.startswith("actors.")]
    return modules[0] if modules else process.name()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or [process.name()]
    except psutil.Error:
        return [""]


def _cpu_share(processes: Sequence[psutil.Process], for_s: float) -> float:
    """Of one core, what all of them took together."""
    before = {process: _cpu_s(process) for process in processes}
    time.sleep(for_s)
    return sum(max(_cpu_s(process) - had, 0.0) for process, had in before.items()) / for_s


def _cpu_s(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(measure(Scale.QUICK)).line() + "\n")
