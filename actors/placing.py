"""Dedicated placement: a ready continuation whose pool is its own gets a detached actor named `continuation/<id>`.

One that is to wake at a node gets one there, `continuation/<id>/<node>`; while no such node lives, none. The actor
ends when nothing came for a while, and is made anew at the next wake. Not here: that actor (actors.continuation).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from pydantic import JsonValue

from actors.avoiding import NODE_ID
from actors.continuation import CONTINUATION_ACTOR
from actors.lifecycle import Lifecycle
from actors.names import NAMESPACE, continuation_actor
from maestro import bootstrap
from maestro.ids import ContinuationId, Partition
from maestro.runtime.backend import Backend
from maestro.runtime.loops import keep
from maestro.runtime.nodes import placed
from maestro.runtime.ports import DEDICATED, PLACE, ready_signal
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec, Resources

PLACER_ACTOR = "actors.placing:PlacerActor"
LOOK_MS = 5_000


class PlacerActor:
    """Asks the supervisor of the pools for actors of their own.

    Args:
        settings: `Settings.to_json()`.
        supervisor: the actor name of the supervisor to ask.
    """

    def __init__(self, *, incarnation: str, settings: str, supervisor: str) -> None:
        self._life = Lifecycle(incarnation)
        self._settings_json = settings
        self._settings = Settings.from_json(settings)
        self._supervisor = supervisor
        bootstrap.enter_process(self._settings, "placer")
        self._life.run(self._run())

    async def ready(self) -> dict[str, JsonValue]:
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        await self._life.stop(reason)

    async def _run(self) -> None:
        backend = await bootstrap.open_store(self._settings)

        async def step() -> int:
            await self._place(await _wanted(backend))
            return LOOK_MS

        await keep("placer", step, lambda pause_ms: backend.signals.wait(PLACE, pause_ms))

    async def _place(self, wanted: Sequence[str]) -> None:
        if not wanted:
            return
        pools: Any = await asyncio.to_thread(ray.get_actor, self._supervisor, NAMESPACE)
        here = {child["id"] for child in await pools.which_children.remote()}
        alive = await asyncio.to_thread(_living)
        for pool in wanted:
            cid, node = placed(pool)
            if continuation_actor(cid, node) not in here and (node is None or node in alive):
                spec = self._spec(cid, node, pool, {} if node is None else {NODE_ID: alive[node]})
                await pools.start_child.remote(spec.model_dump_json(exclude_defaults=True))

    def _spec(self, cid: ContinuationId, node: str | None, pool: str, labels: Mapping[str, str]) -> ChildSpec:
        """Temporary: one that died is made anew when its continuation is ready again, not before."""
        return ChildSpec(
            id=continuation_actor(cid, node),
            start=CONTINUATION_ACTOR,
            restart="temporary",
            resources=Resources(labels=labels),
            args={"settings": self._settings_json, "pool": pool, "linger_ms": self._settings.linger_ms},
        )


def _living() -> Mapping[str, str]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeName"]: node["NodeID"] for node in nodes if node["Alive"]}


async def _wanted(backend: Backend) -> Sequence[str]:
    """Pools of one continuation each, in which it is ready."""
    prefix = ready_signal(DEDICATED)
    counts = [await backend.records.counts(Partition(number)) for number in range(backend.partitions)]
    return [
        name.removeprefix(ready_signal(""))
        for depths in counts
        for name, depth in depths.items()
        if name.startswith(prefix) and depth > 0
    ]
