"""An installation on Ray, up and down: the store, the cluster, the tree. Each step starts only what is missing."""

import asyncio
from typing import Any

import ray
import structlog
from pydantic import JsonValue
from ray.exceptions import RayError

from actors import blueprint, cluster, keeping, reporting
from actors.claiming import STORE_CLAIM
from actors.gcs_store import GcsStore
from actors.names import NAMESPACE, ROOT
from actors.root import plant, uproot
from maestro import bootstrap
from maestro.adapters.redis import server
from maestro.errors import ClusterError
from maestro.runtime.rehearsal import check_nobody_stranded
from maestro.runtime.retry import try_held_again
from maestro.settings import Settings
from maestro.tick.behaviour import Repertoire

log = structlog.get_logger()

STRANDED = "`maestro rehearse` lists all of them; `maestro up --accept-holds` goes on, and they wait for a migration"
ORDERLY_S = 60.0  # ticks have their grace (shutdown_grace_ms), and each supervisor ends its own; then by force
READY_S = 240.0  # a dozen actors at up to three seconds each on a busy 2-core machine, and litellm's import


def up(settings: Settings, accept_holds: bool = False, accept_older_store: bool = False) -> dict[str, JsonValue]:
    """The store answers, Ray runs, the tree stands and takes work; what was held for missing code is tried again.

    Raises:
        InvalidInput: a behaviour module cannot be imported; nothing was started.
        Unservable: sleepers would be held under this code, and not `accept_holds`; only the store was started.
        StoreWentBack: the store is empty, another or older than it was, and not `accept_older_store`.
        StoreError, ClusterError: what could not be started, and where its log is.
    """
    known = bootstrap.repertoire(settings)
    if settings.redis_url is None:
        server.ensure(settings.home, fsync=settings.redis_fsync)
    if (gcs_store := GcsStore.of(settings)) is not None:
        gcs_store.check_apart(bootstrap.store_url(settings))
    asyncio.run(bootstrap.look_back(settings, accept_older_store))
    if not accept_holds:
        check_nobody_stranded(asyncio.run(bootstrap.rehearsed(settings)), STRANDED)
    info = cluster.ensure(settings, warm=sum(1 for _ in blueprint.tree(settings).walk()))
    cluster.connect(settings)
    try:
        reporting.leave_settings(settings.to_json())
        root = plant(blueprint.tree(settings), obituary=reporting.REPORT, claim=STORE_CLAIM)
        ray.get(root.ready.remote(), timeout=READY_S)
    except RayError as error:
        raise ClusterError(
            f"the supervisor tree did not come up: {_last_line(error)}"[:500], hint=f"see {settings.home}/logs"
        ) from error
    finally:
        ray.shutdown()
    asyncio.run(_try_again(settings, known))
    return {"address": info.address, "dashboard_url": info.dashboard_url, "started": info.started}


def up_and_kept(
    settings: Settings, accept_holds: bool = False, accept_older_store: bool = False
) -> dict[str, JsonValue]:
    """As `up`; and what of it runs on this machine is started again when it dies, by a heart that stays.

    Raises:
        As `up`.
    """
    embedded = settings.redis_url is None
    if not settings.heart or not (embedded or settings.ray_address is None):
        return up(settings, accept_holds, accept_older_store)
    bootstrap.repertoire(settings)
    told = settings.to_json()
    if embedded and not (keeping.keeps_all(settings.home) and server.running(settings.home)):
        keeping.keep(settings.home, told, "store")
    asyncio.run(bootstrap.look_back(settings, accept_older_store))
    if not accept_holds:
        check_nobody_stranded(asyncio.run(bootstrap.rehearsed(settings)), STRANDED)
    return keeping.keep(settings.home, told, "all")


def down(settings: Settings) -> None:
    """Ticks have ended or were handed back, the tree is gone, Ray is gone, and who kept them; the store stays.

    Where a heart kept an embedded store, that has ended too: nobody would keep it now.
    """
    keeping.release(settings.home)
    take_down(settings)


def take_down(settings: Settings) -> None:
    """As `down`, with nobody who kept it. A cluster of others (`ray_address`) stays, without our tree."""
    ours = settings.ray_address is None
    if ours and cluster.running(settings) is None:
        cluster.stop(settings)  # half dead, it is no cluster any more, but what is left of it runs
        return
    cluster.connect(settings)
    try:
        root: Any = ray.get_actor(ROOT, NAMESPACE)
        asyncio.run(asyncio.wait_for(uproot(root), ORDERLY_S))
    except ValueError:
        pass  # no tree stands in this cluster
    except TimeoutError:
        log.warning("the tree did not end in order", within_s=ORDERLY_S)  # leases and epochs see to the rest
    finally:
        ray.shutdown()
    if ours:
        cluster.stop(settings)


def tree(settings: Settings) -> dict[str, JsonValue]:
    """The supervisor tree as it stands, with states, pids, restarts and last exits.

    Raises:
        ClusterError: Ray does not run, or no tree stands in it.
    """
    cluster.connect(settings)
    try:
        root: Any = ray.get_actor(ROOT, NAMESPACE)
        found: dict[str, JsonValue] = ray.get(root.tree.remote(), timeout=30)
        return found
    except ValueError:
        raise ClusterError("no supervisor tree stands in this cluster", hint="run `maestro up`") from None
    finally:
        ray.shutdown()


async def _try_again(settings: Settings, known: Repertoire) -> None:
    at = await bootstrap.install(settings)
    try:
        await try_held_again(at, known)
    finally:
        await at.backend.close()


def _last_line(error: RayError) -> str:
    """What it says, without the traceback that Ray puts before it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
