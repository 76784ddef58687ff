"""Putting the parts together: from settings to an open store, for clients and for actors.

The only place that knows both settings and adapters.
"""

import asyncio
import functools
import hashlib
import importlib
import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maestro import telemetry
from maestro.adapters.duckdb.stock import ParquetStock
from maestro.adapters.feeds.reader import FeedReader
from maestro.adapters.feeds.schedule import ScheduleReader
from maestro.adapters.files.folders import FolderReader, MaildirReader
from maestro.adapters.files.marks import FileMarks
from maestro.adapters.files.secrets import revealed
from maestro.adapters.files.seen import SeenFile
from maestro.adapters.mail.notifier import EmailNotifier
from maestro.adapters.mail.smtp import SmtpPost, parse_smtp
from maestro.adapters.mcp.reader import McpReader
from maestro.adapters.mcp.servers import McpServers
from maestro.adapters.mcp.shelf import ServerShelf
from maestro.adapters.redis import server
from maestro.adapters.redis.backend import open_backend
from maestro.adapters.sandbox.confined import Confinement
from maestro.adapters.sandbox.process import Sandbox
from maestro.adapters.sandbox.tools import ToolWorkers
from maestro.adapters.web.client import GuardedWeb
from maestro.adapters.webhook.hooks import hooks_in
from maestro.adapters.webhook.inbox import WebhookInbox
from maestro.adapters.webhook.notifier import WebhookNotifier
from maestro.clock import Clock
from maestro.continuation.envelope import Seal
from maestro.errors import MaestroError, StoreUnavailable
from maestro.field.ranker import Ranker
from maestro.home import EMBEDDED, marks_folder, read_private
from maestro.ids import TenantId, TimeMs
from maestro.mesh.egress import Egress
from maestro.mesh.schemas import OPEN, EventTypes
from maestro.mesh.source import Fetched, Kind, Reader, SourceRecords, kind_of
from maestro.pager.desk import Answers
from maestro.pager.notices import Notices
from maestro.runtime.alarms import Watchman
from maestro.runtime.audit import Auditor, Door
from maestro.runtime.backend import Backend
from maestro.runtime.digests import Digests
from maestro.runtime.gathering import Gatherer
from maestro.runtime.herald import Notifier
from maestro.runtime.landmarks import Landmarks, Loss, check_not_older
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.register import Register
from maestro.runtime.rehearsal import Rehearsal, rehearse
from maestro.runtime.verbs import Installation
from maestro.runtime.warehousing import Warehouse
from maestro.settings import Settings
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Repertoire
from maestro.tick.workbench import Workbench
from maestro.tools.calls import InlineTools
from maestro.tools.gifts import Gifts
from maestro.tools.registry import Toolbox
from maestro.tools.room import RoomLimits, RoomyTools

SHIPPED = ("maestro.behaviours", "maestro.turns.state")
"""The modules whose behaviours every installation has."""
TOOLS = ("maestro.adapters.web.tool", "maestro.adapters.mail.tool")
"""The modules whose tools every installation has; a continuation uses them where it was given their scopes."""
CODE = "maestro.adapters.sandbox.code"
"""What an installation has that runs programs of models."""


class SourceReader:
    """maestro.mesh.source.Reader over every kind of source."""

    def __init__(self, web: GuardedWeb, servers: McpServers | None = None) -> None:
        self._web = web
        self._told = McpReader(servers or McpServers(ServerShelf(None), Confinement()))
        self._readers: dict[Kind, Reader] = {
            "rss": FeedReader(web), "files": FolderReader(), "mail": MaildirReader(), "schedule": ScheduleReader(),
            "mcp": self._told,
        }  # fmt: skip

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        return await self._readers[kind_of(url)].fetch(url, etag, last_modified, now_ms)

    async def news(self, url: str) -> None:
        """Returns when what is at `url` has told something by itself; feeds, files, mail and schedules never do."""
        if kind_of(url) == "mcp":
            await self._told.news(url)
        else:
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Connections are closed; it is of no more use."""
        await self._told.close()
        await self._web.close()


@dataclass(frozen=True, slots=True)
class SourcePorts:
    """What a source needs of a store, and what reads it."""

    clock: Clock
    publisher: MeshPublisher
    sources: SourceRecords
    reader: SourceReader


@dataclass(frozen=True, slots=True)
class PagerPorts:
    """What a pager needs of a store."""

    answers: Answers
    notices: Notices
    backend: Backend | None = None
    """Where calls are placed that nobody waits for; None where there are none."""


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
    """The ports of this installation's store.

    Raises:
        StoreWentBack: it does not know any more what is remembered of it.
    """
    mark = open_marks(settings).read()
    backend = await _opened(settings, known=mark is not None)
    try:
        await check_not_older(mark, backend.identity, settings.redis_fsync == "everysec")
    except MaestroError:
        await backend.close()
        raise
    return backend


async def _opened(settings: Settings, known: bool) -> Backend:
    tenant, virtual = TenantId(settings.tenant), settings.clock == "virtual"
    url, replicas = store_url(settings), settings.redis_replicas
    return await open_backend(url, tenant, settings.partitions, virtual, known, replicas)


def open_marks(settings: Settings) -> FileMarks:
    """What this installation remembers of its store."""
    return FileMarks(_marks(settings) / f"{settings.tenant}.json")


def audit_seen(settings: Settings) -> SeenFile:
    """How far the audit log went when it was last found whole."""
    return SeenFile(_marks(settings) / f"{settings.tenant}.audit.json")


def _marks(settings: Settings) -> Path:
    url = settings.redis_url
    return marks_folder(settings.home, EMBEDDED if url is None else hashlib.sha256(url.encode()).hexdigest()[:10])


def open_landmarks(settings: Settings, backend: Backend) -> Landmarks:
    """Who compares the store with what is remembered of it."""
    return Landmarks(backend.identity, open_marks(settings), settings.redis_fsync == "everysec")


async def look_back(settings: Settings, accept: bool = False) -> Loss | None:
    """The store is the one that is remembered, or gone on with; returns what was lost where a new incarnation began.

    Raises:
        StoreWentBack: it is empty, another or older, and not `accept`.
    """
    backend = await _opened(settings, known=not accept and open_marks(settings).read() is not None)
    try:
        return await open_landmarks(settings, backend).look(accept)
    finally:
        await backend.close()


async def open_source(settings_json: str) -> SourcePorts:
    """What a source actor needs, from the settings it was handed."""
    settings = Settings.from_json(settings_json)
    backend = await open_store(settings)
    reader = SourceReader(open_web(settings), mcp_servers(settings, backend.register))
    publisher = MeshPublisher(backend.router, backend.partitions, event_types(settings))
    return SourcePorts(backend.clock, publisher, backend.sources, reader)


def warehouse_folder(settings: Settings) -> Path:
    """Where the warehouse of this tenant lies."""
    return settings.home / "warehouse" / settings.tenant


def open_warehouse(settings: Settings, backend: Backend) -> Warehouse:
    """The loop that fills the warehouse; one process at a time."""
    return Warehouse(backend, ParquetStock(warehouse_folder(settings)))


async def open_gatherer(settings: Settings, backend: Backend, ranker: Ranker) -> Gatherer | None:
    """The loop that keeps the index and looks in it; None where there is none, and then no field waits for a look."""
    if settings.index == "off":
        await backend.gatherings.close()
        return None
    module = importlib.import_module("maestro.adapters.faiss.opening")  # only whoever looks loads FAISS
    gatherer: Gatherer = await module.open_gatherer(settings, backend, ranker)
    return gatherer


def open_web(settings: Settings) -> GuardedWeb:
    """The one way out to addresses that somebody else chose."""
    return GuardedWeb(Egress.parse(settings.egress_allow))


def open_webhooks(settings: Settings, backend: Backend) -> WebhookInbox:
    """The door for webhooks, to be mounted where HTTP is served; without a file of hooks it knows none.

    Raises:
        InvalidInput: the file of hooks is not good.
    """
    tenant, file = TenantId(settings.tenant), settings.webhooks_file
    publisher = MeshPublisher(backend.router, backend.partitions, event_types(settings))
    return WebhookInbox(() if file is None else hooks_in(file, tenant), publisher, backend.clock)


def open_notifier(settings: Settings) -> Notifier:
    """The way to those who approve.

    Raises:
        InvalidInput: the settings name none, or half of one.
    """
    url = settings.notify_url or ""
    if not url.startswith("smtp"):
        return WebhookNotifier(url)
    file = settings.notify_password_file
    server, to = parse_smtp(url, read_private(file) if file else "")
    return EmailNotifier(SmtpPost(server), to)


def open_digests(settings: Settings, backend: Backend) -> Digests:
    """Whoever tells what people were not asked: as an event, and to those who approve where there is a way to them."""
    return Digests(backend, open_notifier(settings) if settings.notify_url else None)


def open_watchman(settings: Settings, backend: Backend) -> Watchman:
    """Whoever tells that a budget is nearly spent, as above."""
    crier = open_notifier(settings) if settings.notify_url else None
    return Watchman(backend.alarms, backend.partitions, crier)


async def open_installation(redis_url: str | None = None, tenant: str | None = None) -> Installation:
    """The installation as this process' settings describe it; for clients."""
    return await install(Settings.load(redis_url=redis_url, tenant=tenant), "client")


async def install(settings: Settings, door: Door | None = None) -> Installation:
    """An open store with the key that opens what is in it.

    Args:
        door: by which the user of this process steers, and is written down; None for actors and loops.
    """
    store, seal = await open_store(settings), Seal(settings.mac_key_bytes())
    who = None if door is None else Auditor(store.audit, seal, store.tenant, this_user(), door)
    return Installation(
        store,
        seal,
        settings.default_budget,
        settings.ttl_defaults,
        account=settings.account,
        asks_per_day=settings.asks_per_day,
        audit=who,
    )


def this_user() -> str:
    """Whose process this is, and on which machine."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def repertoire(settings: Settings) -> Repertoire:
    """The shipped behaviours, those that the settings name, and those of installed distributions."""
    return Repertoire.load((*SHIPPED, *settings.behaviours), installed=True)


async def workbench(settings: Settings, backend: Backend) -> Workbench:
    """The tools of the modules that the settings name, of installed distributions and of MCP servers, and our own."""
    servers = mcp_servers(settings, backend.register)
    await servers.follow()
    own = TOOLS + ((CODE,) if settings.code_execution else ())
    toolbox = Toolbox.load((*SHIPPED, *own, *settings.behaviours), installed=True)
    workers, beside = ToolWorkers(gifts=gifts(settings)), toolbox.beside(servers.shelf)
    limits = RoomLimits(settings.artifact_mib_per_family << 20, settings.artifact_mib_per_tenant << 20)
    roomy = functools.partial(RoomyTools, room=backend.room, limits=limits)
    return Workbench(
        beside, roomy(workers), backend.tools, backend.journals,
        inline=roomy(InlineTools()), servers=roomy(servers), reveal=_revealed,
    )  # fmt: skip


def _revealed(reference: str) -> str:
    """The secret that it leads to; no log line of this process shows it from now on."""
    secret = revealed(reference)
    telemetry.hide([secret])
    return secret


def gifts(settings: Settings) -> Mapping[str, Gifts]:
    """What each of our own tools is given: where it may go, and by what password."""
    given: dict[str, Gifts] = {"web.fetch": {"egress": ",".join(settings.egress_allow)}}
    if settings.mail_url is not None:
        password = read_private(settings.mail_password_file) if settings.mail_password_file else ""
        given["mail.send"] = {"mail server": settings.mail_url, "mail password": password}
    if settings.code_execution:
        given["code.run"] = {"code execution": "on"}
    return given


def mcp_servers(settings: Settings, register: Register) -> McpServers:
    """The MCP servers that the settings name, each to be begun when it is first needed; what is approved, is noted."""
    return McpServers(ServerShelf(settings.mcp_file, register), Confinement(), egress=settings.egress_allow)


def event_types(settings: Settings) -> EventTypes:
    """What the modules of `behaviours` say of events, each by a name `EVENT_TYPES`.

    Raises:
        InvalidInput: two of them describe the same version of a type.
    """
    found = (getattr(importlib.import_module(module), "EVENT_TYPES", OPEN) for module in settings.behaviours)
    return functools.reduce(EventTypes.and_, found, OPEN)


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


async def open_pager(settings_json: str) -> PagerPorts:
    """What a pager needs of the store, from the settings it was handed."""
    backend = await open_store(Settings.from_json(settings_json))
    return PagerPorts(JournaledAnswers(backend.journals), backend.notices, backend)
