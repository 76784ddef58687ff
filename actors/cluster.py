"""The local Ray cluster of `maestro up`: started once, found again, and ended without touching any other Ray.

Invariants:
- an explicit address and a temp folder of its own; nobody else's cluster is ever joined;
- every port on loopback, token authentication on, the token in a private file;
- the cluster outlives the command that started it and holds no truth: half dead, it is ended whole and started anew;
- only processes that carry our signs are ended (`actors.processes`).

With a `ray_address` in the settings there is nothing to start or stop here: that cluster belongs to `ray up`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.actor import ActorHandle

from actors import local_nodes
from actors.gcs_store import GcsStore
from actors.joining import carry_token, join, shell_environment
from actors.local_ray import Head, Place, start
from actors.names import NAMESPACE, OWN, ROOT, SUPERVISOR_PREFIX
from actors.processes import Ended, find, kill_all, named, stop_all
from actors.supervised import own_supervisor
from maestro.errors import ClusterError, NotFound
from maestro.home import locked
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec

COMMAND_S = 180.0  # how long another maestro command may hold the cluster


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A cluster to join."""

    address: str
    dashboard_url: str | None = None
    """None for a cluster that others run."""
    temp_dir: Path | None = None
    pids: Mapping[str, int] = field(default_factory=dict)
    """Of gcs_server, raylet and dashboard."""
    started: bool = False
    """True when this call started it."""


class RayCluster:
    """What the client finds behind the entry point `maestro.cluster`: Ray's actor handles, by name."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings.load()

    def actor(self, name: str) -> ActorHandle[Any]:
        """The actor of that name; joins the cluster at first use.

        Raises:
            NotFound: no living actor has that name.
            ClusterError: no cluster answers.
        """
        connect(self._settings)
        try:
            return ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            raise NotFound(f"no actor is named {name!r}", field="name", hint="see `maestro status`") from None

    async def supervise(self, spec: ChildSpec, under: str) -> None:
        """The actor that `spec` describes runs below the supervisor of that id; `own` is made where it is missing.

        Raises:
            Conflict: an actor of that name lives already.
            NotFound: no such supervisor lives.
            ClusterError: it did not start, or no cluster answers.
        """
        await asyncio.to_thread(connect, self._settings)
        if under == OWN:
            await self._raise_own()
        supervisor: Any = await asyncio.to_thread(self.actor, f"{SUPERVISOR_PREFIX}{under}")
        await supervisor.start_child.remote(spec.model_dump_json(exclude_defaults=True))

    async def _raise_own(self) -> None:
        root: Any = self.actor(ROOT)
        states = {child["id"]: child["state"] for child in await root.which_children.remote()}
        if OWN not in states:
            await root.start_child.remote(own_supervisor().model_dump_json(exclude_defaults=True))
        elif states[OWN] == "stopped":
            await root.restart_child.remote(OWN)


def ensure(settings: Settings, warm: int = 0) -> ClusterInfo:
    """There is a cluster to join: that of `ray_address`, the local one that runs, or a local one started now.

    Args:
        warm: how many idle workers a local one that is started now makes beforehand.

    Raises:
        ClusterError: it did not start.
    """
    if settings.ray_address is not None:
        return ClusterInfo(settings.ray_address)
    place = Place.of(settings)
    carry_token(place.token_file)
    with locked(place.lock, COMMAND_S):
        found = _mended(place, settings)
        if found is not None:
            return found
        kill_all(place.signs())
        _forget(place, settings)
        place.sweep()
        head = start(place, settings, warm)
        local_nodes.mend(place, settings)
        return _info(head, place, started=True)


def mend(settings: Settings) -> Sequence[str]:
    """Lost nodes of the local cluster run again, and its control store where that keeps its state in a Redis.

    Returns:
        What was started, by name; nothing where all is well, or nothing runs, or the cluster is another's.

    Raises:
        ClusterError: something did not come back; `ensure` builds the cluster anew.
    """
    if settings.ray_address is not None:
        return []
    place = Place.of(settings)
    carry_token(place.token_file)
    with locked(place.lock, COMMAND_S):
        return local_nodes.mend(place, settings)


def running(settings: Settings) -> ClusterInfo | None:
    """The local cluster if it is whole, or among several nodes but for lost ones; starts nothing."""
    place = Place.of(settings)
    carry_token(place.token_file)
    head = place.recorded()
    return _info(head, place) if head is not None and head.is_whole(len(place.nodes()) > 1) else None


def _mended(place: Place, settings: Settings) -> ClusterInfo | None:
    try:
        local_nodes.mend(place, settings)
    except ClusterError:
        return None
    return running(settings)


def processes(settings: Settings) -> Sequence[str]:
    """The living processes of the local cluster, by name and pid, whether it is whole or not."""
    return [named(process) for process in find(Place.of(settings).signs())]


def connect(settings: Settings) -> ClusterInfo:
    """This process is a driver of the cluster, in our namespace.

    Raises:
        ClusterError: there is none, or it refuses.
    """
    if settings.ray_address is not None:
        join(settings.ray_address, local=False)
        return ClusterInfo(settings.ray_address)
    found = running(settings)
    if found is None:
        raise _none_runs()
    join(found.address, local=True)
    return found


def stop(settings: Settings) -> Ended:
    """Nothing of the local cluster lives; its processes were asked first, the raylet before the rest."""
    place = Place.of(settings)
    ray.shutdown()
    with locked(place.lock, COMMAND_S):
        ended = stop_all(place.signs())
        _forget(place, settings)
    return ended


def kill(settings: Settings) -> Ended:
    """Nothing of the local cluster lives, and nothing of it was asked: as after a crash."""
    place = Place.of(settings)
    ray.shutdown()
    with locked(place.lock, COMMAND_S):
        forced = kill_all(place.signs())
        _forget(place, settings)
    return Ended(forced=tuple(forced))


def environment(settings: Settings) -> Mapping[str, str]:
    """What a shell needs to use Ray's own commands on the local cluster.

    Raises:
        ClusterError: none runs.
    """
    found = running(settings)
    if found is None:
        raise _none_runs()
    return shell_environment(found.address, Place.of(settings).token_file)


def _info(head: Head, place: Place, started: bool = False) -> ClusterInfo:
    return ClusterInfo(head.address, f"http://{head.dashboard}", place.temp_dir, head.pids, started)


def _forget(place: Place, settings: Settings) -> None:
    """No cluster is recorded; what its control store kept in a Redis is gone, where that answers."""
    head = place.recorded()
    store = GcsStore.of(settings, head.namespace) if head and head.namespace else None
    if store is not None:
        store.sweep()
    place.forget()


def _none_runs() -> ClusterError:
    return ClusterError("no local Ray cluster runs here", hint="run `maestro up`")
