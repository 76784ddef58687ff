"""Through the real tree on Ray: wakes pulled by ContinuationActors, processes for sleepers, recovery after kill -9.

Recovery is the time from the kill of a working actor's process until the same tick begins again in a warm spare; the
bare loop is a Ray actor with `max_restarts=-1` in the same cluster, called until it answers from its new process.
"""

import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from pydantic import JsonValue
from ray.exceptions import RayError

from actors import cluster, installation
from actors.local_ray import Place
from actors.names import NAMESPACE, ROOT
from actors.processes import find
from benchmarks import wakes
from benchmarks.behaviours import Sleeper, Worker, leave_word
from benchmarks.report import Goal, Outcome, Row, Scale, quantile, spread_ms
from benchmarks.stage import AT_ONCE, GOAL, checkpoint_of, seen_by
from maestro import bootstrap
from maestro.adapters.redis import server
from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Status
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.verbs import Installation, Start
from maestro.settings import Settings

POOLS = ("swarm", "default")
WARM = 4  # actors of the pool `default`: one works, one is being replaced, two are spare
WORK_S = 0.4
KILLED_AFTER_S = 0.1  # well inside the tick
PATIENCE_S = 60.0
_POLL_S = 0.001


@dataclass(frozen=True, slots=True)
class Tree:
    """A running installation, and this process as its client and as a driver of its Ray."""

    settings: Settings
    at: Installation
    root: Any

    async def start(self, behaviour: str, pool: str, input: JsonValue = None) -> ContinuationId:
        return await verbs.start(self.at, Start(behaviour, GOAL, BudgetVector({"usd": 1_000}), input, pool=pool))

    def processes(self) -> int:
        """How many processes this cluster has."""
        return len(find(Place.of(self.settings).signs()))

    async def warm(self) -> None:
        """Every actor of the pools runs."""
        async with asyncio.timeout(PATIENCE_S):
            while not _all_running(await self.root.tree.remote()):  # noqa: ASYNC110 - a tree is asked, it tells nobody
                await asyncio.sleep(0.1)


async def measure(scale: Scale) -> Outcome:
    asleep, events, kills = (400, 200, 3) if scale is Scale.QUICK else (wakes.ASLEEP, 2_000, 20)
    chosen = random.Random(9).sample(range(asleep), events)
    raw_wakes = await wakes.bare_wakes(asleep, chosen)
    async with _tree() as tree:
        before = tree.processes()
        woken = await _wakes(tree, asleep, chosen)
        processes = tree.processes() - before
        await tree.warm()
        gaps = await _recoveries(tree, kills)
        raw_gaps = await _restarts(tree, kills)
    rows = [row for pool in POOLS for row in wakes.rows(f"Ray pool {pool}", asleep, woken[pool], raw_wakes)]
    rows.append(Row(f"processes of Ray for {asleep:,} sleepers", "", processes, None, Goal("none", 0, absolute=True)))
    return Outcome(
        "ray",
        (*rows, *_recovery_rows(gaps, raw_gaps)),
        {
            **{f"wake_{pool}": spread_ms(woken[pool]) for pool in POOLS},
            "bare_wake": spread_ms(raw_wakes),
            "recovery": spread_ms(gaps),
            "max_restarts": spread_ms(raw_gaps),
            "processes": before,
        },
    )


def _recovery_rows(gaps: Sequence[float], raw: Sequence[float]) -> tuple[Row, ...]:
    p50, p99 = quantile(gaps, 0.5) * 1e3, quantile(gaps, 0.99) * 1e3
    raw_p50, raw_p99 = quantile(raw, 0.5) * 1e3, quantile(raw, 0.99) * 1e3
    return (
        Row("kill -9 in mid tick -> ticks again, p50", "ms", p50, raw_p50, Goal("<= 0.1x max_restarts", 0.1)),
        Row("kill -9 in mid tick -> ticks again, p99", "ms", p99, raw_p99, Goal("<= 100 ms", 100, absolute=True)),
    )


@asynccontextmanager
async def _tree() -> AsyncIterator[Tree]:
    home = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    settings = Settings.load(home=home, behaviours="benchmarks.behaviours", pool_size=WARM)
    try:
        await asyncio.to_thread(installation.up, settings)
        at = await bootstrap.install(settings)
        await asyncio.to_thread(cluster.connect, settings)
        yield Tree(settings, at, ray.get_actor(ROOT, NAMESPACE))
        await at.backend.close()
    finally:
        ray.shutdown()
        await asyncio.to_thread(installation.down, settings)
        server.purge(home)
        shutil.rmtree(Place.of(settings).temp_dir.parent)
        shutil.rmtree(home)


async def _wakes(tree: Tree, asleep: int, chosen: Sequence[int]) -> dict[str, list[float]]:
    """How long each woken one waited, by pool: even numbers sleep in one, odd ones in the other."""
    cids: list[ContinuationId] = []
    for first in range(0, asleep, AT_ONCE):
        part = range(first, min(asleep, first + AT_ONCE))
        starts = (tree.start(Sleeper.name, POOLS[n % 2], {"subject": f"wake.s{n}"}) for n in part)
        cids += await asyncio.gather(*starts)
    await _ticked(tree, cids, 1)
    publisher = MeshPublisher(tree.at.backend.router, tree.at.backend.partitions)
    await wakes.paced(list(chosen), lambda number: wakes.publish(publisher, number))
    await _ticked(tree, [cids[number] for number in chosen], 2)
    waited: dict[str, list[float]] = {pool: [] for pool in POOLS}
    for number in chosen:
        waited[POOLS[number % 2]] += seen_by(await checkpoint_of(tree.at, cids[number])).seconds
    return waited


async def _ticked(tree: Tree, cids: Sequence[ContinuationId], rev: int) -> None:
    """Each has committed so many ticks."""
    async with asyncio.timeout(PATIENCE_S * 5):
        for cid in cids:
            while (await verbs.glance_of(tree.at, cid)).rev < rev:  # noqa: ASYNC110 - seen from outside, as users do
                await asyncio.sleep(0.1)


async def _recoveries(tree: Tree, kills: int) -> list[float]:
    """From each kill until the tick begins again."""
    cid, gaps = await tree.start(Worker.name, "default"), []
    await _ticked(tree, [cid], 1)
    for number in range(kills):
        file = tree.settings.home / f"worked-{number}"
        await verbs.send(tree.at, cid, {"file": str(file), "work_s": WORK_S})
        gaps.append(await _gap(file))
        await _ticked(tree, [cid], 2 + number)
        await tree.warm()
    ended = await checkpoint_of(tree.at, cid)
    assert ended.status is Status.PENDING, ended.status
    assert seen_by(ended).n == kills, f"{seen_by(ended).n} ticks for {kills} messages"
    return gaps


async def _gap(file: Path) -> float:
    """From the kill of whoever left the first word in `file` until there is a second."""
    pid, _ = (await _words(file, 1))[0]
    await asyncio.sleep(KILLED_AFTER_S)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return (await _words(file, 2))[1][1] - killed


async def _words(file: Path, count: int) -> list[tuple[int, float]]:
    """Who left a word in `file` and when, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while len(lines := _lines(file)) < count:  # noqa: ASYNC110 - a file rings no bell
            await asyncio.sleep(_POLL_S)
    return [(int(pid), float(at)) for pid, at in map(str.split, lines)]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


class Restarted:
    """The bare actor: Ray itself restarts it."""

    def work(self, file: str) -> None:
        leave_word(Path(file))


async def _restarts(tree: Tree, kills: int) -> list[float]:
    bare_class: Any = ray.remote(Restarted)
    bare = bare_class.options(name="bare", namespace=NAMESPACE, max_restarts=-1, num_cpus=0).remote()
    gaps = []
    for number in range(kills):
        file = tree.settings.home / f"restarted-{number}"
        await bare.work.remote(str(file))
        calling = asyncio.create_task(_until_it_answers(bare, file))
        gaps.append(await _gap(file))
        await calling
    await asyncio.to_thread(ray.kill, bare, no_restart=True)
    return gaps


async def _until_it_answers(bare: Any, file: Path) -> None:
    """A call each 10 ms from the kill on, as a client would that has lost it."""
    await asyncio.sleep(KILLED_AFTER_S * 1.5)
    while True:
        try:
            await bare.work.remote(str(file))
            return
        except RayError:
            await asyncio.sleep(0.01)


def _all_running(node: dict[str, Any]) -> bool:
    children = node.get("children", ())
    return all(child["state"] == "running" and _all_running(child) for child in children)
