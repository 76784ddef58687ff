"""Dedicated placement: a ready continuation whose pool is its own gets a detached actor named `continuation/<id>`.

It stands on the node with the fewest actors of continuations; where each has as many as it may (`max_resident`), it
waits until the pool keeper has passivated one that is idle. One that is to wake at a node gets one there,
`continuation/<id>/<node>`; while no such node lives, none. The actor ends when nothing came for a while, and is made
anew at the next wake. Not here: that actor (actors.continuation), and whoever's does not start (actors.setting_aside).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayError

from actors.avoiding import NODE_ID
from actors.continuation import CONTINUATION_ACTOR
from actors.names import NAMESPACE
from actors.opening import patiently
from actors.setting_aside import Aside
from actors.standing import living_nodes, load_of, own_actor, own_asks
from actors.supervised import Supervised
from maestro import bootstrap
from maestro.runtime.backend import Backend
from maestro.runtime.capacity import counted, waiting_alone
from maestro.runtime.loops import keep
from maestro.runtime.nodes import placed
from maestro.runtime.occupancy import least_loaded
from maestro.runtime.ports import PLACE
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec, Resources

PLACER_ACTOR = "actors.placing:PlacerActor"
LOOK_MS = 5_000
ROOM_MS = 500
"""Between two looks while somebody waits for room."""


class PlacerActor(Supervised):
    """Asks the supervisor of the pools for actors of their own.

    Args:
        settings: `Settings.to_json()`.
        supervisor: the actor name of the supervisor to ask.
    """

    def __init__(self, *, incarnation: str, settings: str, supervisor: str) -> None:
        super().__init__(incarnation)
        self._settings_json = settings
        self._settings = Settings.from_json(settings)
        self._supervisor = supervisor
        bootstrap.enter_process(self._settings, "placer")

    async def work(self) -> None:
        at = await patiently(lambda: bootstrap.install(self._settings))
        backend, aside = at.backend, Aside(at, self.life.incarnation)

        async def step() -> int:
            alone = waiting_alone(await counted(backend))
            return ROOM_MS if alone and await self._place(alone, backend, aside) else LOOK_MS

        await keep("placer", step, lambda pause_ms: backend.signals.wait(PLACE, pause_ms))

    async def _place(self, alone: Mapping[str, int], backend: Backend, aside: Aside) -> int:
        """Whoever waits for an actor of its own and finds room has one; returns how many found none."""
        pools: Any = await asyncio.to_thread(ray.get_actor, self._supervisor, NAMESPACE)
        children, nodes = (await pools.tree.remote())["children"], await living_nodes(backend)
        asks, load = own_asks(alone, children, nodes), load_of(children)
        lacking = 0
        for pool, ask in sorted(asks.items(), key=lambda item: -item[1].waited_ms):
            node = least_loaded(load, ask.nodes, self._settings.max_resident)
            if node is None:
                lacking += 1
                continue
            if aside.rests(pool):
                continue
            load[node] += 1
            await self._start(pool, node, pools, aside)
        return lacking

    async def _start(self, pool: str, node: str, pools: Any, aside: Aside) -> None:
        """That one has its actor, or was set aside."""
        try:
            await pools.start_child.remote(self._spec(pool, node).model_dump_json(exclude_defaults=True))
        except (RayError, ValueError) as error:  # ValueError: what it needs makes no spec
            await aside.failed(pool, error)
        else:
            aside.started(pool)

    def _spec(self, pool: str, node: str) -> ChildSpec:
        """Temporary: one that died is made anew when its continuation is ready again, not before."""
        _, at = placed(pool)
        return ChildSpec(
            id=own_actor(pool),
            start=CONTINUATION_ACTOR,
            restart="temporary",
            resources=Resources(node=node) if at is None else Resources(labels={NODE_ID: node}),
            args={"settings": self._settings_json, "pool": pool, "linger_ms": self._settings.linger_ms},
        )
