"""The keeper of pools: each pool has as many actors as its load asks for, spread over the nodes that may have them.

It looks, decides (`maestro.runtime.pooling`), and asks the supervisor of the pools. Whoever retires ends normally when
its ticks have; the supervisor restarts only those that die.

Invariants: nothing is started where a person drains a node, nor where there is no room for it: then those that wait go
on waiting, and `maestro why` says for what. A supervisor is never made to wait for what cannot start.
Not here: what an actor of a pool does (actors.continuation), and who starts dedicated actors (actors.placing).
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import ray
import structlog
from pydantic import JsonValue
from ray.exceptions import RayError

from actors.continuation import CONTINUATION_ACTOR
from actors.lifecycle import Lifecycle
from actors.names import NAMESPACE, POOL_KEEPER
from maestro import bootstrap
from maestro.runtime.backend import Backend
from maestro.runtime.capacity import counted, demand_of
from maestro.runtime.loops import keep
from maestro.runtime.pooling import Member, Move, Pool, Size, plan, wanted
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec, Resources

POOL_KEEPER_ACTOR = "actors.pool_keeper:PoolKeeperActor"
LOOK_MS = 1_000
OWN_ACTOR = "continuation/"
REFUSED_S = 10.0  # after a start that failed: what it lacked will hardly be there a second later

log = structlog.get_logger()


class PoolKeeperActor:
    """Asks the supervisor of the pools for more actors, and actors to retire.

    Args:
        settings: `Settings.to_json()`.
        supervisor: the actor name of the supervisor to ask.
    """

    def __init__(self, *, incarnation: str, settings: str, supervisor: str) -> None:
        self._life = Lifecycle(incarnation)
        self._settings_json = settings
        self._settings = Settings.from_json(settings)
        self._supervisor = supervisor
        self._sizes: dict[str, Size] = {}
        self._refused: dict[str, float] = {}
        self._retiring: set[tuple[str, str]] = set()
        bootstrap.enter_process(self._settings, POOL_KEEPER)
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
            await self._look(backend)
            return LOOK_MS

        await keep(POOL_KEEPER, step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

    async def _look(self, backend: Backend) -> None:
        pools: Any = await asyncio.to_thread(ray.get_actor, self._supervisor, NAMESPACE)
        children = (await pools.tree.remote())["children"]
        counts, nodes = await counted(backend), await _nodes(backend)
        for child in children:
            if child["id"].startswith(OWN_ACTOR) and child["node"] in nodes.left:
                await self._make(Move("retire", child["id"]), OWN_ACTOR, pools)
        for name, pool in self._settings.all_pools.items():
            members = self._members(name, children, counts)
            count = self._size(name, pool, members, counts) if nodes.open else 0
            for move in _moves(name, pool, count, members, nodes):
                await self._make(move, name, pools, pool)
            here = sum(member.takes_work for member in members)
            await backend.leases.tell_room(name, here * pool.slots, pool.most * pool.slots)

    def _size(self, name: str, pool: Pool, members: list[Member], counts: Mapping[str, int]) -> int:
        now_ms = int(monotonic() * 1000)
        before = self._sizes.get(name) or Size(sum(member.takes_work for member in members), 0, now_ms)
        self._sizes[name] = wanted(pool, before, demand_of(counts, name), now_ms)
        if self._sizes[name].wanted != before.wanted:
            log.info("pool_resized", pool=name, wanted=self._sizes[name].wanted, before=before.wanted)
        return self._sizes[name].wanted

    def _members(self, name: str, children: list[dict[str, Any]], counts: Mapping[str, int]) -> list[Member]:
        awake: Counter[str] = Counter()
        for holder, held in counts.items():
            awake[holder.removeprefix("held:").partition("#")[0]] += held
        mine = [child for child in children if child["id"].rpartition("/")[0] == f"pool/{name}"]
        self._retiring &= {(child["id"], child["incarnation"]) for child in children} | {
            pair for pair in self._retiring if not pair[0].startswith(f"pool/{name}/")
        }
        return [Member(child["id"], self._state(child), child["node"], awake[child["id"]]) for child in mine]

    def _state(self, child: dict[str, Any]) -> str:
        going = child["state"] == "running" and (child["id"], child["incarnation"]) in self._retiring
        return "retiring" if going else str(child["state"])

    async def _make(self, move: Move, name: str, pools: Any, pool: Pool | None = None) -> None:
        try:
            match move.act:
                case "forget":
                    await pools.delete_child.remote(move.id)
                case "retire":
                    actor: Any = await asyncio.to_thread(ray.get_actor, move.id, NAMESPACE)
                    self._retiring.add((move.id, await actor.retire.remote()))
                case "start" if pool and self._refused.get(name, 0.0) < monotonic() and await _has_room(pool.resources):
                    spec = member(name, pool, move.id, self._settings_json, move.node)
                    await pools.start_child.remote(spec.model_dump_json(exclude_defaults=True))
        except (RayError, ValueError) as error:  # ValueError: no actor of that name lives now
            log.warning("pool_move_failed", pool=name, act=move.act, actor=move.id, error=str(error)[:300])
            if move.act == "start":
                self._refused[name] = monotonic() + REFUSED_S


def _moves(name: str, pool: Pool, count: int, members: list[Member], nodes: "_Nodes") -> Sequence[Move]:
    """Where one node is all there is, or the pool asks for labels, Ray itself chooses where an actor starts."""
    if not pool.resources.labels and (len(nodes.open) > 1 or nodes.left):
        return plan(name, count, members, nodes.open)
    leaving = [Move("retire", each.id) for each in members if each.state == "running" and each.node in nodes.left]
    return leaving or plan(name, count, members, ())


def member(name: str, pool: Pool, member_id: str, settings_json: str, node: str | None = None) -> ChildSpec:
    """One actor of a pool: restarted when it dies, and not when it has retired."""
    args: dict[str, JsonValue] = {
        "settings": settings_json,
        "pool": name,
        "slots": pool.slots,
        "keep_ms": pool.linger_ms,
    }
    resources = pool.resources.model_copy(update={"node": node})
    return ChildSpec(id=member_id, start=CONTINUATION_ACTOR, restart="transient", args=args, resources=resources)


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Ray's ids of the nodes that live."""

    open: tuple[str, ...]
    left: frozenset[str]
    """Those that a person, or Ray, wants to be empty."""


async def _nodes(backend: Backend) -> _Nodes:
    census = await backend.nodes.census()
    left = frozenset(node.id for node in census.nodes if node.leaving is not None) if census else frozenset[str]()
    alive = [node["NodeID"] for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
    return _Nodes(tuple(node for node in alive if node not in left), left)


async def _has_room(needs: Resources) -> bool:
    """True when the cluster has what one more takes: a start that waits for it would hold up its supervisor."""
    asked = {"CPU": needs.num_cpus, "GPU": needs.num_gpus, "memory": needs.memory_bytes or 0}
    if not any(asked.values()):
        return True
    free = await asyncio.to_thread(ray.available_resources)
    return all(free.get(name, 0) >= amount for name, amount in asked.items() if amount)
