"""A whole installation for a benchmark: the real tree on a local Ray, and this process as its client and driver."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from pydantic import JsonValue

from actors import cluster, installation
from actors.local_ray import Place
from actors.names import NAMESPACE, ROOT
from actors.processes import find
from benchmarks.stage import GOAL
from maestro import bootstrap
from maestro.adapters.redis import server
from maestro.budget.vector import BudgetVector
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation, Start
from maestro.settings import Settings

WARM = 4  # actors of the pool `default`: one works, one is being replaced, two are spare
PATIENCE_S = 60.0

Up = Callable[[Settings], object]


@dataclass(frozen=True, slots=True)
class Tree:
    """A running installation, and this process as its client and as a driver of its Ray."""

    settings: Settings
    at: Installation
    root: Any

    async def start(
        self, behaviour: str, pool: str, input: JsonValue = None, usd_micros: int = 1_000
    ) -> ContinuationId:
        return await verbs.start(self.at, Start(behaviour, GOAL, BudgetVector({"usd": usd_micros}), input, pool=pool))

    def processes(self) -> int:
        """How many processes this cluster has."""
        return len(find(Place.of(self.settings).signs()))

    async def warm(self) -> None:
        """Every actor of the pools runs."""
        async with asyncio.timeout(PATIENCE_S):
            while not _all_running(await self.root.tree.remote()):  # noqa: ASYNC110 - a tree is asked, it tells nobody
                await asyncio.sleep(0.1)


@asynccontextmanager
async def planted(raised: Up = installation.up, **given: object) -> AsyncIterator[Tree]:
    """`raised` with these settings beside its own; afterwards nothing of it lives and nothing of it lies about."""
    home = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    settings = Settings.load(home=home, behaviours="benchmarks.behaviours", pool_size=WARM, **given)
    try:
        await asyncio.to_thread(raised, settings)
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


async def ticked(tree: Tree, cids: Sequence[ContinuationId], rev: int) -> None:
    """Each has committed so many ticks."""
    async with asyncio.timeout(PATIENCE_S * 5):
        for cid in cids:
            while (await verbs.glance_of(tree.at, cid)).rev < rev:  # noqa: ASYNC110 - seen from outside, as users do
                await asyncio.sleep(0.1)


def _all_running(node: dict[str, Any]) -> bool:
    children = node.get("children", ())
    return all(child["state"] == "running" and _all_running(child) for child in children)
