"""Telling the store that a holder died, the moment its supervisor sees it; lease expiry would tell it seconds later."""

import asyncio

import structlog
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from actors.names import NAMESPACE
from maestro import bootstrap
from maestro.ids import HolderId, Partition
from maestro.runtime.backend import Backend
from maestro.settings import Settings

REPORT = "actors.reporting:report"
_KEY = b"maestro:settings"

log = structlog.get_logger()
_opened: dict[asyncio.AbstractEventLoop, Backend] = {}


def leave_settings(settings_json: str) -> None:
    """The settings lie where every process of this cluster finds them."""
    _internal_kv_put(_KEY, settings_json.encode(), namespace=NAMESPACE)


def settings_left() -> str:
    """The settings as they lie in this cluster."""
    return (_internal_kv_get(_KEY, namespace=NAMESPACE) or b"").decode()


async def report(incarnation: str, reason: str) -> None:
    """What that incarnation held is ready again."""
    backend = await _backend()
    for number in range(backend.partitions):
        count = await backend.leases.reclaim(HolderId(incarnation), Partition(number))
        if count:
            log.warning("holder_died", holder=incarnation, reason=reason, continuations=count)


async def _backend() -> Backend:
    """One connection per supervisor process."""
    loop = asyncio.get_running_loop()
    if loop not in _opened:
        _opened[loop] = await bootstrap.open_store(Settings.from_json(await asyncio.to_thread(settings_left)))
    return _opened[loop]
