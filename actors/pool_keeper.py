"""The keeper of pools: each pool has as many actors as its load asks for, spread over the nodes that may have them.

Where a node may have only so many (`max_resident`), a pool grows as far as there is room; for those who find none,
dedicated ones too, whoever has been idle longest is passivated.

It looks, decides (`maestro.runtime.pooling`), and asks the supervisor of the pools. Whoever retires ends normally when
its ticks have; the supervisor restarts only those that die.

Invariants: nothing is started where a person drains a node, nor where there is no room for it: then those that wait go
on waiting, and `maestro why` says for what. A supervisor is never made to wait for what cannot start.
Not here: what an actor of a pool does (actors.continuation), and who starts dedicated actors (actors.placing).
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import ray
import structlog
from pydantic import JsonValue
from ray.exceptions import RayError

from actors.continuation import CONTINUATION_ACTOR
from actors.names import NAMESPACE, POOL_KEEPER
from actors.opening import patiently
from actors.standing import (
    MEMBER,
    OWN_ACTOR,
    Child,
    living_nodes,
    load_of,
    own_actor,
    own_asks,
    standing,
    with_idle_times,
)
from actors.supervised import Supervised
from maestro import bootstrap
from maestro.runtime.backend import Backend
from maestro.runtime.capacity import LACKING, counted, demand_of, waiting_alone
from maestro.runtime.loops import keep
from maestro.runtime.occupancy import Ask, Occupant, passivated, seat
from maestro.runtime.pooling import Demand, Ground, Member, Move, Pool, Size, plan, wanted
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec, Resources

POOL_KEEPER_ACTOR = "actors.pool_keeper:PoolKeeperActor"
LOOK_MS = 1_000
REFUSED_S = 10.0  # after a start that failed: what it lacked will hardly be there a second later

log = structlog.get_logger()


class PoolKeeperActor(Supervised):
    """Asks the supervisor of the pools for more actors, and actors to retire.

    Args:
        settings: `Settings.to_json()`.
        supervisor: the actor name of the supervisor to ask.
    """

    def __init__(self, *, incarnation: str, settings: str, supervisor: str) -> None:
        super().__init__(incarnation)
        self._settings_json = settings
        self._settings = Settings.from_json(settings)
        self._supervisor = supervisor
        self._sizes: dict[str, Size] = {}
        self._refused: dict[str, float] = {}
        self._retiring: set[tuple[str, str]] = set()
        bootstrap.enter_process(self._settings, POOL_KEEPER)

    async def work(self) -> None:
        backend = await patiently(lambda: bootstrap.open_store(self._settings))

        async def step() -> int:
            await self._look(backend)
            return LOOK_MS

        await keep(POOL_KEEPER, step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

    async def _look(self, backend: Backend) -> None:
        pools: Any = await asyncio.to_thread(ray.get_actor, self._supervisor, NAMESPACE)
        children = (await pools.tree.remote())["children"]
        counts, nodes = await counted(backend), await living_nodes(backend)
        for child in children:
            if child["id"].startswith(OWN_ACTOR) and child["node"] in nodes.left:
                await self._make(Move("retire", child["id"]), OWN_ACTOR, pools)
        alone, cap = waiting_alone(counts), self._settings.max_resident
        asks = own_asks(alone, children, nodes)
        load, lacking = load_of(children), list[Ask]()
        for name, pool in self._settings.all_pools.items():
            members, demand = self._members(name, children, counts), demand_of(counts, name)
            fitting = nodes.fitting(pool.resources.labels)
            count = self._size(name, pool, members, demand) if fitting else 0
            _, taken = seat(load, [ask for ask in asks.values() if ask.waited_ms > demand.oldest_ms], cap)
            ground = _ground(fitting, members, taken, cap, bool(nodes.left))
            for move in plan(name, count, members, ground):
                await self._make(move, name, pools, pool)
                load[move.node or ""] += move.act == "start"
            here = sum(member.takes_work for member in members)
            if cap is not None:
                short = min(demand.ready, count - max(here, sum(each.room or 0 for each in ground)))
                lacking += [Ask(fitting, demand.oldest_ms)] * short
            await backend.leases.tell_room(name, here * pool.slots, pool.most * pool.slots)
        if cap is not None:
            lacking = sorted([*lacking, *seat(load, list(asks.values()), cap)[0]], key=lambda ask: -ask.waited_ms)
            await self._make_room(lacking, cap, children, _busy(counts) | set(map(own_actor, alone)), pools)
        await backend.leases.tell_room(LACKING, len(lacking), cap or 0)

    async def _make_room(
        self, lacking: Sequence[Ask], cap: int, children: Sequence[Child], busy: frozenset[str], pools: Any
    ) -> None:
        """Beyond the cap, and for those who find no room, whoever has been idle longest ends."""
        here = standing(children)
        if not lacking and all(count <= cap for count in load_of(here).values()):
            return
        occupants = [Occupant(child["id"], child["node"], leaving=self._state(child) == "retiring") for child in here]
        said = await with_idle_times(occupants, busy)
        for actor in passivated(self._beyond_least(said), lacking, cap):
            log.info("passivated", actor=actor, lacking=len(lacking), cap=cap)
            pool = _pool_of(actor)
            if pool in self._sizes:
                self._sizes[pool] = replace(self._sizes[pool], wanted=self._sizes[pool].wanted - 1)
            await self._make(Move("retire", actor), pool, pools)

    def _beyond_least(self, occupants: Sequence[Occupant]) -> Sequence[Occupant]:
        """Of each pool as many are spare, the idlest first, as it has beyond its least."""
        left = Counter(_pool_of(each.id) for each in occupants if not each.leaving)
        left.subtract({name: pool.min for name, pool in self._settings.all_pools.items()})
        told = []
        for each in sorted(occupants, key=lambda each: -(each.idle_ms or 0)):
            name = _pool_of(each.id)
            mine = each.idle_ms is not None and not each.leaving
            told.append(replace(each, spare=name == OWN_ACTOR or (mine and left[name] > 0)))
            left[name] -= mine
        return told

    def _size(self, name: str, pool: Pool, members: list[Member], demand: Demand) -> int:
        now_ms = int(monotonic() * 1000)
        before = self._sizes.get(name) or Size(sum(member.takes_work for member in members), 0, now_ms)
        self._sizes[name] = wanted(pool, before, demand, now_ms)
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

    def _state(self, child: Child) -> str:
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


def _ground(
    fitting: Sequence[str], members: Sequence[Member], load: Mapping[str, int], cap: int | None, some_left: bool
) -> Sequence[Ground]:
    """Where one node is all there is, and no cap on it, Ray itself chooses where an actor starts."""
    if len(fitting) < 2 and cap is None and not some_left:
        return ()
    held = Counter(member.node for member in members if member.takes_work)
    rooms = {node: None if cap is None else held[node] + max(0, cap - load.get(node, 0)) for node in fitting}
    return [Ground(node, load.get(node, 0) - held[node], room) for node, room in rooms.items()]


def _pool_of(actor: str) -> str:
    """The pool of a member; OWN_ACTOR for one that a continuation has to itself."""
    return OWN_ACTOR if actor.startswith(OWN_ACTOR) else actor.removeprefix(MEMBER).rpartition("/")[0]


def _busy(counts: Mapping[str, int]) -> frozenset[str]:
    """The actors that hold somebody."""
    held = [holder for holder, count in counts.items() if holder.startswith("held:") and count]
    return frozenset(holder.removeprefix("held:").partition("#")[0] for holder in held)


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


async def _has_room(needs: Resources) -> bool:
    """True when the cluster has what one more takes: a start that waits for it would hold up its supervisor."""
    asked = {"CPU": needs.num_cpus, "GPU": needs.num_gpus, "memory": needs.memory_bytes or 0}
    if not any(asked.values()):
        return True
    free = await asyncio.to_thread(ray.available_resources)
    return all(free.get(name, 0) >= amount for name, amount in asked.items() if amount)
