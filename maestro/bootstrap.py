"""Putting the parts together: from settings to an open store, for clients and for actors.

The only place that knows both settings and adapters.
"""

from dataclasses import dataclass

from maestro import telemetry
from maestro.adapters.redis import server
from maestro.adapters.redis.backend import open_backend
from maestro.adapters.sandbox.process import Sandbox
from maestro.clock import Clock
from maestro.continuation.envelope import Seal
from maestro.errors import StoreUnavailable
from maestro.ids import TenantId
from maestro.mesh.source import SourceRecords
from maestro.runtime.backend import Backend
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.rehearsal import Rehearsal, rehearse
from maestro.runtime.verbs import Installation
from maestro.settings import Settings
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Repertoire

SHIPPED = ("maestro.behaviours", "maestro.turns.state")
"""The modules whose behaviours every installation has."""


@dataclass(frozen=True, slots=True)
class SourcePorts:
    """What a source needs of a store."""

    clock: Clock
    publisher: MeshPublisher
    sources: SourceRecords


def store_url(settings: Settings) -> str:
    """Where the store is: as set, else the running embedded server.

    Raises:
        StoreUnavailable: none is set and none runs.
    """
    url = settings.store_url()
    if url is not None:
        return url
    info = server.running(settings.home)
    if info is None:
        raise StoreUnavailable("no store runs here", hint="start it with `maestro up`, or set MAESTRO_REDIS_URL")
    return info.url


async def open_store(settings: Settings) -> Backend:
    """The ports of this installation's store."""
    virtual = settings.clock == "virtual"
    return await open_backend(store_url(settings), TenantId(settings.tenant), settings.partitions, virtual)


async def open_source(settings_json: str) -> SourcePorts:
    """What a source actor needs, from the settings it was handed."""
    backend = await open_store(Settings.from_json(settings_json))
    return SourcePorts(backend.clock, MeshPublisher(backend.router, backend.partitions), backend.sources)


async def open_installation(redis_url: str | None = None, tenant: str | None = None) -> Installation:
    """The installation as this process' settings describe it; for clients."""
    return await install(Settings.load(redis_url=redis_url, tenant=tenant))


async def install(settings: Settings) -> Installation:
    """An open store with the key that opens what is in it."""
    store, seal = await open_store(settings), Seal(settings.mac_key_bytes())
    return Installation(store, seal, settings.default_budget, settings.ttl_defaults)


def repertoire(settings: Settings) -> Repertoire:
    """The shipped behaviours, those that the settings name, and those of installed distributions."""
    return Repertoire.load((*SHIPPED, *settings.behaviours), installed=True)


async def rehearsed(settings: Settings, eager: bool = False) -> Rehearsal:
    """What the code of these settings would do to every sleeper; nothing is written.

    Args:
        eager: the code is loaded even when nobody sleeps.

    Raises:
        InvalidInput: a module cannot be loaded.
    """
    at, sandbox = await install(settings), Sandbox((*SHIPPED, *settings.behaviours))
    try:
        if eager:
            await sandbox.load()
        return await rehearse(at, sandbox)
    finally:
        await sandbox.close()
        await at.backend.close()


def enter_process(settings: Settings, process: str) -> None:
    """Logs of this process go to its file and to standard error, without any secret."""
    telemetry.configure(process, settings.log_level, settings.home / "logs")
    telemetry.hide(settings.secret_values())


async def open_answers(settings_json: str) -> JournaledAnswers:
    """Where a pager makes its answers durable, from the settings it was handed."""
    return JournaledAnswers((await open_store(Settings.from_json(settings_json))).journals)
