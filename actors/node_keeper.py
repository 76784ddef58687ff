"""Empties nodes that are to be left, tells the store which nodes there are, and minds the root (`actors.root_watch`).

A node is left when a person drains it (the store knows), or when Ray does: its own drain, an autoscaler that gives the
machine back, a preemption notice. Then nothing is started there any more (`actors.avoiding`), and each worker of the
tree that runs there is stopped in order and started elsewhere, which is no failure and counts as none: a tick under way
commits, or is handed back when the grace is over. Members of pools retire by themselves first (`actors.pool_keeper`).

Invariants: where no other node takes work, everybody stays; supervisors stay where they are until the node goes: one
that dies leaves its children running, and its successor finds them.
Not here: what is held for want of a node (`maestro.runtime.residence`, called from here).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import ray
import structlog
from ray._private.state import state as ray_state
from ray.exceptions import RayError

from actors.avoiding import avoid
from actors.names import NAMESPACE, ROOT, SUPERVISOR_PREFIX
from actors.opening import patiently
from actors.root_watch import mind_root
from actors.supervised import Supervised
from maestro import bootstrap
from maestro.runtime import residence
from maestro.runtime.loops import keep
from maestro.runtime.nodes import NODES, Drain, Seen
from maestro.runtime.verbs import Installation
from maestro.settings import Settings
from maestro.supervision.spec import HUNG_MS

NODE_KEEPER_ACTOR = "actors.node_keeper:NodeKeeperActor"
LOOK_MS = 2_000
TREE_S = 20.0
BY_RAY = "Ray"
MEMBER = "pool/"
"""The pool keeper lets these retire and starts others elsewhere; whoever does not retire within the grace is ended."""
AWAKE_IN = (MEMBER, "continuation/")
Json = Mapping[str, Any]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Worker:
    """One running worker of the tree, and who supervises it."""

    id: str
    node: str
    supervisor: str


class NodeKeeperActor(Supervised):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
    """

    def __init__(self, *, incarnation: str, settings: str) -> None:
        super().__init__(incarnation)
        self._settings = Settings.from_json(settings)
        self._since: Mapping[Worker, float] = {}
        """Who stands on a node that is to be left, and since when."""
        bootstrap.enter_process(self._settings, "node-keeper")
        self.life.run(mind_root(HUNG_MS))  # nobody above the root can

    async def work(self) -> None:
        at = await patiently(lambda: bootstrap.install(self._settings))

        async def step() -> int:
            try:
                await self._look(at)
            except (RayError, ValueError, TimeoutError) as error:  # no root yet, or none any more, or it is silent
                log.warning("the nodes were not looked at", error=repr(error)[:300])
            return LOOK_MS

        await keep("node-keeper", step, lambda pause_ms: at.backend.signals.wait(NODES, pause_ms))

    async def _look(self, at: Installation) -> None:
        root: Any = await asyncio.to_thread(ray.get_actor, ROOT, NAMESPACE)
        async with asyncio.timeout(TREE_S):
            workers = list(workers_of(await root.tree.remote()))
        nodes, by_ray = await asyncio.to_thread(_look)
        seen = census(nodes, await _draining(at, nodes, by_ray), workers)
        left = left_nodes(seen)
        await avoid(left)
        await at.backend.nodes.see(seen)
        labels = {name: pool.resources.labels for name, pool in self._settings.all_pools.items()}
        await residence.hold_unserved(at, seen, labels, self.life.incarnation)
        await residence.thaw_served(at, seen, labels)
        await self._empty([worker for worker in workers if worker.node in left])

    async def _empty(self, leaving: Sequence[Worker]) -> None:
        """These workers are started elsewhere; this one at last, because its successor goes on."""
        now, grace_s = monotonic(), self._settings.shutdown_grace_ms / 1000
        self._since = {worker: self._since.get(worker, now) for worker in leaving}
        by_supervisor: dict[str, list[str]] = {}
        for worker in leaving:
            if not worker.id.startswith(MEMBER):
                by_supervisor.setdefault(worker.supervisor, []).append(worker.id)
            elif now - self._since[worker] > grace_s:
                log.warning("it does not retire", actor=worker.id)
                await (await _actor(worker.supervisor)).terminate_child.remote(worker.id)
        me = self.life.incarnation.partition("#")[0]
        for supervisor, ids in sorted(by_supervisor.items(), key=lambda item: me in item[1]):
            log.info("workers leave their node", supervisor=supervisor, workers=ids)
            handle = await _actor(supervisor)
            if others := [worker for worker in ids if worker != me]:
                await handle.renew_children.remote(others)
            if me in ids:
                handle.renew_children.remote([me])


def workers_of(told: Mapping[str, Any]) -> Iterator[Worker]:
    """The running workers below a supervisor, as its tree tells of them."""
    supervisor = ROOT if told["id"] == ROOT else f"{SUPERVISOR_PREFIX}{told['id']}"
    for child in told["children"]:
        if child.get("type") == "supervisor":
            yield from workers_of(child)
        elif child.get("node") is not None and child["state"] == "running":
            yield Worker(child["id"], child["node"], supervisor)


def census(nodes: Sequence[Json], draining: Mapping[str, Drain], workers: Iterable[Worker]) -> Sequence[Seen]:
    """Every node that lives, and of the names that no living one has, the one that bore it last."""
    told = {node["NodeName"]: node for node in sorted(nodes, key=lambda node: bool(node["Alive"]))}
    return [_seen(node, draining.get(name), workers) for name, node in sorted(told.items())]


def left_nodes(seen: Sequence[Seen]) -> frozenset[str]:
    """Ids of the living nodes that are to be left; none where there is no better place."""
    alive = [node for node in seen if node.alive]
    left = frozenset(node.id for node in alive if node.leaving is not None)
    return left if len(left) < len(alive) else frozenset()


async def _draining(at: Installation, nodes: Sequence[Json], by_ray: Mapping[str, int]) -> Mapping[str, Drain]:
    """What is being drained; what Ray drains is so in our store too, for as long as that node lives."""
    draining = await at.backend.nodes.draining()
    going = {node["NodeName"]: by_ray[node["NodeID"]] for node in nodes if node["NodeID"] in by_ray and node["Alive"]}
    for name in going.keys() - draining.keys():
        until = f"Ray ends it at {going[name]} ms" if going[name] else "Ray gives it back"
        await at.backend.nodes.drain(name, BY_RAY, until)
    for name in [name for name, drain in draining.items() if drain.by == BY_RAY and name not in going]:
        await at.backend.nodes.undrain(name)
    return await at.backend.nodes.draining()


def _seen(node: Json, drain: Drain | None, workers: Iterable[Worker]) -> Seen:
    here = tuple(worker.id for worker in workers if worker.node == node["NodeID"] and worker.id.startswith(AWAKE_IN))
    leaving = residence.leaving(drain) if drain else None
    return Seen(node["NodeName"], node["NodeID"], bool(node["Alive"]), dict(node["Labels"]), leaving, here)


def _look() -> tuple[Sequence[Json], Mapping[str, int]]:
    """The nodes as Ray knows them, and which of them it drains, until when (ms; 0 for no deadline)."""
    return ray.nodes(), ray_state.get_draining_nodes()  # type: ignore[no-untyped-call]


async def _actor(name: str) -> Any:
    return await asyncio.to_thread(ray.get_actor, name, NAMESPACE)
