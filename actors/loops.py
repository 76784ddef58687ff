"""The system's loops as supervised actors: timekeeper, relay, reaper, projector, warehouse.

Not here: what a loop does (maestro.runtime.loops).
"""

import asyncio
import importlib
from typing import Literal, assert_never

import ray
import structlog
from pydantic import JsonValue

from actors.gauges import Collector, Lateness
from actors.lifecycle import Lifecycle
from actors.opening import patiently
from maestro import bootstrap
from maestro.continuation.envelope import Seal
from maestro.errors import InvalidInput
from maestro.field.local import LocalRanker
from maestro.field.ranker import Ranker
from maestro.runtime.backend import Backend
from maestro.runtime.herald import Herald
from maestro.runtime.loops import Projector, Reaper, Timekeeper, keep
from maestro.runtime.relay import Relay
from maestro.runtime.treasury import Treasury
from maestro.runtime.warehousing import Warehouse
from maestro.settings import Settings

log = structlog.get_logger()

LOOP_ACTOR = "actors.loops:LoopActor"
Role = Literal["timekeeper", "relay", "reaper", "projector", "warehouse", "herald"]
Loop = Timekeeper | Relay | Reaper | Projector | Warehouse | Herald


class LoopActor:
    """One loop, in one process.

    Args:
        settings: `Settings.to_json()`.
        role: which loop.
    """

    def __init__(self, *, incarnation: str, settings: str, role: Role) -> None:
        self._life = Lifecycle(incarnation)
        self._settings = Settings.from_json(settings)
        bootstrap.enter_process(self._settings, role)
        structlog.contextvars.bind_contextvars(actor=incarnation, node=ray.get_runtime_context().get_node_id()[:8])
        self._opening = asyncio.create_task(self._open(role))
        self._life.run(self._run(role))
        if role == "timekeeper":
            self._life.run(self._collect(), vital=False)

    async def ready(self) -> dict[str, JsonValue]:
        await asyncio.shield(self._opening)
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        await self._life.stop(reason)

    async def figures(self) -> dict[str, int]:
        """What the loop has counted since it began."""
        loop = await asyncio.shield(self._opening)
        names = ("fired", "worst_lateness_ms", "delivered", "reclaimed", "projected", "stored", "told", "failed")
        return {name: getattr(loop, name) for name in names if hasattr(loop, name)}

    async def _run(self, role: Role) -> None:
        loop = await asyncio.shield(self._opening)
        if isinstance(loop, Projector):
            await asyncio.gather(keep(role, loop.step, loop.wait), self._gather(loop))
        else:
            await keep(role, loop.step, loop.wait)

    async def _gather(self, projector: Projector) -> None:
        """What is near the goals of fields that are read is looked for, beside what is told of to them."""
        backend = projector.backend
        try:
            gatherer = await patiently(lambda: bootstrap.open_gatherer(self._settings, backend, projector.ranker))
        except InvalidInput as error:  # fields go on without it
            log.error("no_index", error=str(error))  # noqa: TRY400 - the text says it all
            await patiently(backend.gatherings.close)
            return
        if gatherer is not None:
            await keep("gatherer", gatherer.step, gatherer.wait)

    async def _collect(self) -> None:
        """Ray's metrics endpoint tells what the store and the tree know, and how late timers are."""
        loop = await asyncio.shield(self._opening)
        if isinstance(loop, Timekeeper):
            loop.observe = Lateness().observe
            await Collector(loop.backend).run()

    async def _open(self, role: Role) -> Loop:
        return _loop(role, await patiently(lambda: bootstrap.open_store(self._settings)), self._settings)


def _loop(role: Role, backend: Backend, settings: Settings) -> Loop:
    match role:
        case "timekeeper":
            return Timekeeper(backend)
        case "relay":
            return Relay(backend, bootstrap.event_types(settings))
        case "reaper":
            landmarks, digests = bootstrap.open_landmarks(settings, backend), bootstrap.open_digests(settings, backend)
            watchman = bootstrap.open_watchman(settings, backend)
            return Reaper(backend, treasury=Treasury(backend), digests=digests, watchman=watchman, landmarks=landmarks)
        case "herald":
            return Herald(backend, bootstrap.open_notifier(settings))
        case "warehouse":
            return bootstrap.open_warehouse(settings, backend)
        case "projector":
            return Projector(backend, Seal(settings.mac_key_bytes()), _ranker(settings), settings.kernel_deadline_ms)
        case _:
            assert_never(role)


def _ranker(settings: Settings) -> Ranker:
    if settings.kernel == "off":
        return LocalRanker()
    ranker: Ranker = importlib.import_module("actors.kernel").ServeRanker()  # Serve is imported by whoever asks it
    return ranker
