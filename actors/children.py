"""Carrying out a supervisor's actions against Ray: start, find, watch, stop, sweep.

Every child is a named detached actor with `max_restarts=0`: there is one restarter per child, its supervisor.

Invariants:
- when `start` or `stop` returns, no other incarnation bears the child's name;
- a child that did not become ready in time is gone.

Not here: when any of it is done (`maestro.supervision.machine`).
"""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ray
import structlog
from pydantic import JsonValue
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import rosters
from actors.avoiding import avoiding
from actors.exits import Ignore, StartFailed, classify, unreachable_only
from actors.names import NAMESPACE, actor_name
from maestro.ids import HolderId, new_holder_id
from maestro.supervision.spec import ChildSpec, Shutdown
from maestro.supervision.state import ExitKind

PENDING_CALLS = 1000  # `watch()` of every supervisor that ever adopted it stays pending in a child, beside its work
GONE_S = 20.0  # Ray frees the name of a killed actor within 20 ms here; a stalled GCS may take longer
START_TRIES = 3
POLL_S = 0.005
PROBE_S = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Living:
    """One incarnation of a child that answered `ready()`."""

    spec: ChildSpec
    handle: Any
    incarnation: HolderId
    pid: int
    node: str
    since_ms: int


async def start(spec: ChildSpec) -> Living:
    """A fresh incarnation of the child, ready.

    Raises:
        Ignore: it wants to be left out; nothing of it is left.
        StartFailed: it could not be created, or was not ready in time; nothing of it is left.
    """
    name = actor_name(spec)
    try:
        async with _deadline(spec.ready_ms):
            return await _started(spec, name)
    except Ignore:
        await kill(name)
        raise
    except TimeoutError:
        reason = f"not ready within {spec.ready_ms} ms"
    except Exception as error:  # noqa: BLE001 - the child's own code runs here: whatever it raises, it did not start
        reason = ": ".join(filter(None, classify(error)))
    await kill(name)
    raise StartFailed(reason)


async def _started(spec: ChildSpec, name: str) -> Living:
    """A fresh incarnation, ready; one that is killed before it can say so gives way to another: not its doing."""
    for tries_left in reversed(range(START_TRIES)):
        await kill(name)
        handle = await asyncio.to_thread(_create, spec, name, new_holder_id(name))
        try:
            return _living(spec, handle, await handle.ready.remote())
        except RayActorError as error:
            if error.actor_init_failed or not tries_left:
                raise
            _log.warning("child was killed before it was ready", child=spec.id, error=classify(error)[1])
    raise AssertionError(name)


async def is_taken(spec: ChildSpec) -> bool:
    """True when a living actor bears the name that the child would get."""
    return await asyncio.to_thread(_lookup, actor_name(spec)) is not None


async def find(spec: ChildSpec) -> Living | None:
    """The incarnation that bears the child's name and answers; one that does not answer is gone."""
    name = actor_name(spec)
    handle = await asyncio.to_thread(_lookup, name)
    if handle is None:
        return None
    try:
        async with _deadline(spec.ready_ms):
            return _living(spec, handle, await handle.ready.remote())
    except (TimeoutError, RayError) as error:
        _log.warning("child found does not answer", child=spec.id, error=repr(error))
    await kill(name)
    return None


async def outcome(living: Living) -> tuple[ExitKind, str]:
    """How the life of this incarnation ended, as soon as it did."""
    while True:
        try:
            await living.handle.watch.remote()
        except Exception as error:  # noqa: BLE001 - the child's own failure arrives here, of whatever class
            if unreachable_only(error) and await _answers(living):
                continue
            return classify(error)
        return classify(None)


async def stop(living: Living, shutdown: Shutdown) -> None:
    """The child is gone, with all below it: it had the time that `shutdown` gives to end in order."""
    in_order = shutdown != "brutal_kill" and await _ended_in_order(living, shutdown)
    await kill(actor_name(living.spec))
    if living.spec.type == "supervisor" and not in_order:
        await sweep(living.spec)


async def kill(name: str) -> None:
    """No actor bears the name any more; its process is ended, not asked."""
    async with asyncio.timeout(GONE_S):
        while (handle := await asyncio.to_thread(_lookup, name)) is not None:
            await asyncio.to_thread(ray.kill, handle)
            await asyncio.sleep(POLL_S)


async def sweep(spec: ChildSpec) -> None:
    """Whatever a dead supervisor left running is gone; supervisors first, so that none restarts what is being ended."""
    left = await rosters.load(actor_name(spec))
    children = spec.children if left is None else [entry.spec for entry in left]
    for child in children:
        await kill(actor_name(child))
        if child.type == "supervisor":
            await sweep(child)
    await rosters.forget(actor_name(spec))


def _create(spec: ChildSpec, name: str, incarnation: HolderId) -> Any:
    keywords: dict[str, JsonValue] = {**spec.args, "incarnation": incarnation}
    if spec.type == "supervisor":
        keywords["spec"] = spec.model_dump_json(exclude_defaults=True)
    actor_class: Any = ray.remote(load(spec.start))
    placed = spec.model_copy(update={"resources": avoiding(spec.resources)})
    handle: Any = actor_class.options(name=name, **ray_options(placed)).remote(**keywords)
    return handle


def load(path: str) -> type:
    """The class that `module:Class` names."""
    module, _, name = path.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def ray_options(spec: ChildSpec) -> dict[str, Any]:
    """Ray's options for the actor of a child."""
    needs = spec.resources
    options: dict[str, Any] = {
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "max_restarts": 0,
        "max_task_retries": 0,
        "max_concurrency": PENDING_CALLS,
        "num_cpus": needs.num_cpus,
        "num_gpus": needs.num_gpus,
        "memory": needs.memory_bytes,
        "label_selector": dict(needs.labels) or None,
        "runtime_env": dict(needs.runtime_env) or None,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(needs.node, soft=True) if needs.node else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _lookup(name: str) -> Any:
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError:
        return None


def _living(spec: ChildSpec, handle: Any, ready: dict[str, Any]) -> Living:
    now_ms = time.time_ns() // 1_000_000
    return Living(spec, handle, HolderId(ready["incarnation"]), ready["pid"], ready["node"], now_ms)


async def _ended_in_order(living: Living, shutdown: Shutdown) -> bool:
    try:
        async with _deadline(shutdown if isinstance(shutdown, int) else None):
            await living.handle.stop.remote("shutdown")
    except TimeoutError:
        _log.warning("child did not stop in time", child=living.spec.id, shutdown_ms=shutdown)
    except RayActorError:
        _log.info("child was gone before it stopped", child=living.spec.id)
    except Exception as error:  # noqa: BLE001 - the child's own code; it is ended all the same
        _log.warning("child failed to stop", child=living.spec.id, error=repr(error))
    else:
        return True
    return False


async def _answers(living: Living) -> bool:
    try:
        async with asyncio.timeout(PROBE_S):
            await living.handle.ready.remote()
    except (TimeoutError, RayError):
        return False
    return True


@asynccontextmanager
async def _deadline(ms: int | None) -> AsyncIterator[None]:
    async with asyncio.timeout(None if ms is None else ms / 1000):
        yield
