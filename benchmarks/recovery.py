"""Recovery through the real tree on Ray: from the kill -9 of an actor in mid tick until its continuation ticks again.

The tick begins again in a warm spare; nothing waits for the new process. The bare loop is a Ray actor with
`max_restarts=-1` in the same cluster, called until it answers from its new process.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from actors.names import NAMESPACE
from benchmarks.behaviours import Worker, leave_word
from benchmarks.ray_tree import PATIENCE_S, Tree, planted, ticked
from benchmarks.report import Goal, Outcome, Row, Scale, quantile, spread_ms
from benchmarks.stage import checkpoint_of, seen_by
from maestro.continuation.lifecycle import Status
from maestro.runtime import verbs

WORK_S = 0.4
KILLED_AFTER_S = 0.1  # well inside the tick
_POLL_S = 0.001


async def measure(scale: Scale) -> Outcome:
    kills = {Scale.QUICK: 3, Scale.USUAL: 40, Scale.FULL: 100}[scale]
    async with planted() as tree:
        await tree.warm()
        gaps = await _recoveries(tree, kills)
        raw = await _restarts(tree, kills)
    return Outcome("recovery", _rows(gaps, raw), {"recovery": spread_ms(gaps), "max_restarts": spread_ms(raw)})


def _rows(gaps: Sequence[float], raw: Sequence[float]) -> tuple[Row, ...]:
    p50, p99 = quantile(gaps, 0.5) * 1e3, quantile(gaps, 0.99) * 1e3
    raw_p50, raw_p99 = quantile(raw, 0.5) * 1e3, quantile(raw, 0.99) * 1e3
    return (
        Row("kill -9 in mid tick -> ticks again, p50", "ms", p50, raw_p50, Goal("<= 0.1x max_restarts", 0.1)),
        Row("kill -9 in mid tick -> ticks again, p99", "ms", p99, raw_p99, Goal("<= 100 ms", 100, absolute=True)),
    )


async def _recoveries(tree: Tree, kills: int) -> list[float]:
    """From each kill until the tick begins again."""
    cid, gaps = await tree.start(Worker.name, "default"), []
    await ticked(tree, [cid], 1)
    for number in range(kills):
        file = tree.settings.home / f"worked-{number}"
        await verbs.send(tree.at, cid, {"file": str(file), "work_s": WORK_S})
        gaps.append(await _gap(file))
        await ticked(tree, [cid], 2 + number)
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
