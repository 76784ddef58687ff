"""What Ray's metrics endpoints tell of an installation; the names, units and meanings stand in docs/metrics.md.

One collector, beside the timekeeper, reads the store and the tree every few seconds. What only a process itself knows,
how long a tick took and how late a timer was, is observed there, in a microsecond.

Invariants: a figure of the store is that of the store, whoever has restarted since; what cannot be read keeps nobody
from his work, and leaves the last figure standing.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import ray
import structlog
from pydantic import JsonValue
from ray.exceptions import RayError
from ray.util.metrics import Gauge, Histogram

from actors.names import NAMESPACE, ROOT
from maestro.errors import MaestroError
from maestro.runtime.backend import Backend
from maestro.runtime.capacity import LACKING
from maestro.runtime.loops import partitions_of

COLLECT_S = 5.0
TREE_S = 10.0
TICK_S = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0]
LATE_S = [0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1.0, 10.0, 60.0]

STORE = {
    "awake": ("maestro_awake", "Continuations that a process holds now."),
    "asleep": ("maestro_asleep", "Continuations that live and that no process holds."),
    "adopted": ("maestro_adoptions_total", "Continuations taken in by a process, since the store was made."),
    "committed": ("maestro_commits_total", "Ticks committed, since the store was made."),
    "fenced": ("maestro_fenced_total", "Writes refused because a newer epoch owns the continuation."),
    "reclaimed": ("maestro_reclaimed_total", "Continuations taken back from holders that died or were silent."),
    "dead_letters": ("maestro_dead_letters", "Messages and events that could not be delivered."),
    "waiting": ("maestro_waiting_for_people", "Continuations that wait for a person."),
    "tool_cache_hits": ("maestro_tool_cache_hits_total", "Cacheable calls of tools whose result was there."),
    "tool_cache_shared": ("maestro_tool_cache_shared_total", "Such calls that waited for the same one of another."),
    "tool_cache_misses": ("maestro_tool_cache_misses_total", "Such calls that were carried out."),
    f"pool_places:{LACKING}": ("maestro_lacking_room", "Actors wanted that no node has room for."),
}
"""Name in the store -> name and meaning of the metric."""

log = structlog.get_logger()


class Collector:
    """Every figure that the store and the tree know."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._store = {name: Gauge(metric, meaning) for name, (metric, meaning) in STORE.items()}
        self._depth = Gauge("maestro_ready", "Continuations that wait for an actor of the pool.", ("pool",))
        self._age = Gauge("maestro_ready_age_seconds", "How long the first of them has waited.", ("pool",))
        self._actors = Gauge("maestro_pool_actors", "Actors of the pool.", ("pool", "state"))
        self._seen: set[tuple[str, str]] = set()
        self._restarts = Gauge("maestro_restarts", "Restarts by this incarnation of the supervisor.", ("supervisor",))

    async def run(self) -> None:
        """Never returns."""
        while True:
            try:
                self.show_store(await _counts(self._backend))
                self.show_tree(await _tree())
            except (MaestroError, RayError, TimeoutError, ValueError) as error:
                log.warning("gauges stand still", error=repr(error))
            await asyncio.sleep(COLLECT_S)

    def show_store(self, counts: Mapping[str, int]) -> None:
        for name, gauge in self._store.items():
            gauge.set(counts.get(name, 0))
        for name, value in counts.items():
            kind, _, pool = name.partition(":")
            if kind == "ready":
                self._depth.set(value, {"pool": pool})
            elif kind == "ready_age_ms":
                self._age.set(value / 1000, {"pool": pool})

    def show_tree(self, root: Mapping[str, Any]) -> None:
        actors = pool_actors(root)
        self._seen |= actors.keys()
        for pool, state in self._seen:  # a state that nobody is in any more is told as 0
            self._actors.set(actors[pool, state], {"pool": pool, "state": state})
        for supervisor, restarts in restarts_below(root).items():
            self._restarts.set(restarts, {"supervisor": supervisor})


class Ticks:
    """How long the ticks of this process took."""

    def __init__(self, pool: str) -> None:
        self._seconds = Histogram("maestro_tick_seconds", "From adoption to the end of the tick.", TICK_S, ("pool",))
        self._seconds.set_default_tags({"pool": pool})

    def observe(self, seconds: float) -> None:
        self._seconds.observe(seconds)


class Lateness:
    """How late the timers were that this process fired."""

    def __init__(self) -> None:
        self._seconds = Histogram("maestro_timer_lateness_seconds", "From the due moment to the firing.", LATE_S)

    def observe(self, late_ms: int) -> None:
        self._seconds.observe(late_ms / 1000)


async def _counts(backend: Backend) -> Mapping[str, int]:
    """Totals over all partitions; of ages, the largest."""
    total: Counter[str] = Counter()
    ages: dict[str, int] = {}
    for partition in partitions_of(backend):
        for name, value in (await backend.records.counts(partition)).items():
            if name.startswith("ready_age_ms:"):
                ages[name] = max(ages.get(name, 0), value)
            else:
                total[name] += value
    living = total["status:pending"] + total["status:resuming"]
    return {**total, **ages, "asleep": max(0, living - total["awake"])}


async def _tree() -> Mapping[str, Any]:
    root: Any = await asyncio.to_thread(ray.get_actor, ROOT, NAMESPACE)
    async with asyncio.timeout(TREE_S):
        tree: dict[str, JsonValue] = await root.tree.remote()
    return tree


def pool_actors(node: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """(pool, state) -> how many actors, however deep below `node` they stand."""
    found: Counter[tuple[str, str]] = Counter()
    kind, _, rest = str(node["id"]).partition("/")
    if kind == "pool":
        found[rest.rpartition("/")[0], str(node["state"])] += 1
    for child in node.get("children") or ():
        found += pool_actors(child)
    return found


def restarts_below(node: Mapping[str, Any]) -> dict[str, int]:
    """Supervisor -> how often it has restarted a child."""
    children = node.get("children") or ()
    found = {str(node["id"]): sum(int(child.get("restarts") or 0) for child in children)} if children else {}
    for child in children:
        found |= restarts_below(child)
    return found
