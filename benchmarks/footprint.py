"""What `maestro up` takes on one machine: at rest, with many asleep, with many awake; processes, memory, CPU.

Memory is proportional (PSS): in the sum, pages that several processes share count once. CPU is that of our processes,
as a share of one core: on a machine that is shared with other work it is ours all the same.

Not here: what a sleeper takes in the store without Ray (`sleepers`).
"""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil
from pydantic import JsonValue

from actors import installation
from actors.local_ray import Place
from actors.processes import find
from benchmarks.behaviours import Sleeper, Waiter
from benchmarks.ray_tree import Tree, planted, ticked
from benchmarks.report import Goal, Outcome, Row, Scale
from benchmarks.stage import AT_ONCE
from maestro.continuation.mail import Kind, Mail
from maestro.ids import ContinuationId, MailId, Partition, TimeMs
from maestro.runtime.pooling import Pool
from maestro.settings import Settings

PROCESSES, MEMORY, SHARE = (
    f"`maestro up` at rest: {what}" for what in ("processes", "memory (PSS)", "share of one core")
)
MIB = 1024 * 1024
SETTLE_S = 10.0
"""Idle workers of the start have gone to work, caches are warm."""
PATIENCE_S = 480.0  # 47 new actors take a second of CPU each, and have two cores that others use too
HOLD_S = 900.0  # how long who is awake stays so, unless all is taken down before


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    watch_s: float
    asleep: tuple[int, ...]
    awake: int
    pools: tuple[str, ...]


SIZES = {
    Scale.QUICK: Size(5.0, (200,), 10, ("swarm",)),
    Scale.USUAL: Size(30.0, (1_000,), 50, ("swarm", "default")),
    Scale.FULL: Size(30.0, (1_000, 100_000), 50, ("swarm", "default")),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What all processes of an installation take now."""

    processes: int
    mib_by_kind: Mapping[str, float]
    share: float
    """Of one core."""

    @property
    def mib(self) -> float:
        return sum(self.mib_by_kind.values())

    def rows(self, when: str) -> tuple[Row, ...]:
        return (
            Row(f"`maestro up` {when}: processes", "", self.processes),
            Row(f"`maestro up` {when}: memory (PSS)", "MiB", self.mib),
            Row(f"`maestro up` {when}: share of one core", "%", 100 * self.share),
        )

    def as_json(self) -> dict[str, JsonValue]:
        return {kind: round(mib, 1) for kind, mib in sorted(self.mib_by_kind.items(), key=lambda held: -held[1])}


async def measure(scale: Scale) -> Outcome:
    """At rest, then with more and more asleep, then with some of them awake."""
    size = SIZES[scale]
    pools = {"default": Pool(min=3, max=max(3, size.awake if "default" in size.pools else 3))}
    async with planted(installation.up_and_kept, pools=pools) as tree:
        await tree.warm()
        await asyncio.sleep(SETTLE_S)
        rest = await asyncio.to_thread(taken, tree.settings, size.watch_s)
        rows, detail = list(rest.rows), dict(rest.detail)
        begun = 0
        for asleep in size.asleep:
            await _fall_asleep(tree, range(begun, asleep))
            begun = asleep
            await asyncio.sleep(SETTLE_S)
            found = await asyncio.to_thread(look, tree.settings, size.watch_s)
            rows += found.rows(f"with {asleep:,} asleep")
            detail[f"mib_by_kind_{asleep}_asleep"] = found.as_json()
        for pool in size.pools:
            await _wake_up(tree, pool, size.awake)
            await asyncio.sleep(SETTLE_S)
            found = await asyncio.to_thread(look, tree.settings, size.watch_s)
            rows += found.rows(f"with {size.awake:,} awake in pool {pool} beside them")
            detail[f"mib_by_kind_{size.awake}_awake_{pool}"] = found.as_json()
    return Outcome("footprint", tuple(rows), detail)


async def _fall_asleep(tree: Tree, numbers: range) -> None:
    """One more sleeper for each number, after its first tick."""
    for first in range(numbers.start, numbers.stop, AT_ONCE):
        part = range(first, min(numbers.stop, first + AT_ONCE))
        starts = (tree.start(Sleeper.name, "swarm", {"subject": f"wake.s{n}"}) for n in part)
        last = await asyncio.gather(*starts)
    await ticked(tree, last, 1)


async def _wake_up(tree: Tree, pool: str, many: int) -> None:
    """So many more of that pool are in mid tick, and stay there."""
    cids = await asyncio.gather(*(tree.start(Waiter.name, pool) for _ in range(many)))
    await ticked(tree, cids, 1)
    before = await _awake(tree)
    await asyncio.gather(*(_tell(tree, cid) for cid in cids))
    async with asyncio.timeout(PATIENCE_S):
        while await _awake(tree) < before + many:  # noqa: ASYNC110 - a store is asked, it tells nobody
            await asyncio.sleep(1)


async def _tell(tree: Tree, cid: ContinuationId) -> None:
    mail = Mail(id=MailId(f"{cid}.1"), kind=Kind.MESSAGE, sender="bench", body=HOLD_S, sent_ms=TimeMs(0))
    await tree.at.backend.store.deliver(cid, mail)


async def _awake(tree: Tree) -> int:
    return (await tree.at.backend.records.counts(Partition(0))).get("awake", 0)


def taken(settings: Settings, watch_s: float) -> Outcome:
    """What the installation of those settings takes now; its share of a core over the next seconds."""
    found = look(settings, watch_s)
    rows = (
        Row(PROCESSES, "", found.processes, None, None),
        Row(MEMORY, "MiB", found.mib, None, None),
        Row(SHARE, "%", 100 * found.share, None, Goal("<= 25 %", at_most=25, absolute=True)),
    )
    return Outcome("footprint", rows, {"mib_by_kind": found.as_json()})


def look(settings: Settings, watch_s: float) -> Taken:
    """What all its processes take, and their share of a core over the next seconds."""
    ours = _ours(settings)
    by_kind: dict[str, float] = defaultdict(float)
    for kind, mib in _memory(ours):
        by_kind[kind] += mib
    return Taken(len(ours), by_kind, _cpu_share(ours, watch_s))


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
