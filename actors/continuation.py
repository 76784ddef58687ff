"""ContinuationActor: a detached, supervised process that *is* a continuation while it is awake.

It adopts what is ready, runs the tick, commits, adopts the next. SIGTERM ends it in order; one of a pool that finds
another process in its place ends itself at once. With one slot (pool `default`) an awake continuation
has this process to itself; with many (pool `swarm`) it shares it; a `dedicated` one has an actor of its own name.

Not here: ticks (maestro.tick) and the pulling itself (maestro.runtime.host).
"""

import asyncio
import os
from dataclasses import replace
from time import monotonic

import ray
import structlog
from pydantic import JsonValue

from actors.gauges import Ticks
from actors.holding import EXIT_OVERTAKEN, Held
from actors.lifecycle import Lifecycle
from actors.opening import patiently
from actors.paging import RayPager
from actors.terminating import on_sigterm
from actors.watchdog import Limits, Watchdog
from maestro import bootstrap, telemetry
from maestro.adapters.files.policies import PolicyFile
from maestro.adapters.otel.seam import open_tracing
from maestro.continuation.envelope import Seal
from maestro.ids import ContinuationId, HolderId, TenantId
from maestro.runtime.host import Host, HostSettings
from maestro.settings import Settings
from maestro.tick.blocks import Keeper
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import Surroundings

CONTINUATION_ACTOR = "actors.continuation:ContinuationActor"
HAND_BACK_S = 2.0  # a tick that does not even end when it is interrupted ends with its process
MEMBER = "pool/"  # who has a place that another could have; a dedicated one ends when nothing comes
SHOWN_AFTER_S = 1.0  # shorter ticks would only flicker on Ray's dashboard


class ContinuationActor:
    """One process of a pool.

    Args:
        settings: `Settings.to_json()`.
        pool: whose ready list it pulls from.
        slots: how many continuations may be awake here at once.
        linger_ms: a dedicated actor ends when nothing came for so long; None stays.
        keep_ms: how long it keeps the checkpoint of what was awake here, and is roused for it before others.
    """

    def __init__(
        self,
        *,
        incarnation: str,
        settings: str,
        pool: str = "default",
        slots: int = 1,
        linger_ms: int | None = None,
        keep_ms: int = 30_000,
    ) -> None:
        self._life = Lifecycle(incarnation)
        self._settings = Settings.from_json(settings)
        bootstrap.enter_process(self._settings, incarnation.split("#")[0])
        structlog.contextvars.bind_contextvars(actor=incarnation, node=ray.get_runtime_context().get_node_id()[:8])
        self._tracing = open_tracing(self._settings, incarnation)
        self._opening = asyncio.create_task(self._open(HolderId(incarnation), pool, slots, keep_ms))
        self._life.run(self._serve(linger_ms))
        Watchdog(asyncio.get_running_loop(), Limits(memory_mib=self._settings.actor_memory_mib)).start()
        on_sigterm(lambda: self._life.run(self.stop("SIGTERM")))

    async def ready(self) -> dict[str, JsonValue]:
        await asyncio.shield(self._opening)
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        """Ticks under way end first, or are handed back when the grace is over; nothing further is adopted."""
        if self._opening.done() and self._opening.exception() is None:
            host = self._opening.result()
            host.stop()
            try:
                await asyncio.wait_for(self._life.ended(), self._settings.shutdown_grace_ms / 1000)
            except TimeoutError:
                host.hand_back()
                await asyncio.wait_for(self._life.ended(), HAND_BACK_S)
        await self._life.stop(reason)

    async def retire(self) -> str:
        """It adopts nothing more, and ends normally when its ticks have; returns which incarnation that will be."""
        (await asyncio.shield(self._opening)).stop()
        return self._life.incarnation

    async def idle_ms(self) -> int | None:
        """How long nothing has been awake here; None while something is."""
        return (await asyncio.shield(self._opening)).idle_ms()

    async def awake(self) -> list[JsonValue]:
        """What is awake here now."""
        host = await asyncio.shield(self._opening)
        now = monotonic()
        return [
            {"id": cid, "tick": awake.adopted.rev + 1, "epoch": awake.adopted.epoch, "for_s": now - awake.since}
            for cid, awake in host.awake.items()
        ]

    async def show(self, cid: str, tick: int) -> None:
        """Runs as long as that tick: what Ray's dashboard shows of an awake continuation."""
        host = await asyncio.shield(self._opening)
        awake = host.awake.get(ContinuationId(cid))
        if awake is not None and awake.adopted.rev + 1 == tick:
            await asyncio.wait({awake.task})

    async def _open(self, holder: HolderId, pool: str, slots: int, keep_ms: int) -> Host:
        settings = self._settings
        backend = await patiently(lambda: bootstrap.open_store(settings))
        repertoire = bootstrap.repertoire(settings)
        if holder.startswith(MEMBER):
            place = Held(backend.claims, holder, settings.lease_ms)
            await patiently(place.take)
            self._life.run(_until_overtaken(place))
        pager, policy = RayPager(), PolicyFile(settings.policy_file, settings.advisor_enabled)
        faculties = Faculties(
            backend.shelf,
            pager,
            await patiently(pager.prices),
            policy.now(),
            Keeper(backend.blocks),
            await patiently(lambda: bootstrap.workbench(settings, backend)),
            backend.placements,
            settings.patience,
            pager.load,
            backend.journals,
            field_wait_ms=settings.field_wait_ms,
        )
        faculties = self._tracing.around_faculties(faculties)
        around = Surroundings(
            store=self._tracing.around_store(backend.store),
            seal=Seal(settings.mac_key_bytes()),
            tenant=TenantId(settings.tenant),
            repertoire=repertoire,
            make_mind=lambda adopted, before, journal, inbox: ThinkingMind(
                replace(faculties, config=policy.now()), adopted, before, journal, inbox
            ),
            tick_deadline_ms=settings.tick_deadline_ms,
            defaults=settings.ttl_defaults,
            durability=settings.durability,
        )
        how = HostSettings(pool, holder, settings.partitions, slots, settings.lease_ms, settings.idle_ms, keep_ms)
        host = Host(how, around, backend.signals)
        host.observe = Ticks(pool).observe
        return host

    async def _serve(self, linger_ms: int | None) -> None:
        host = await asyncio.shield(self._opening)
        showing = asyncio.create_task(self._show_awake(host))
        leaving = asyncio.create_task(_leave_when_idle(host, linger_ms))
        try:
            await host.serve()
        finally:
            showing.cancel()
            leaving.cancel()
            await asyncio.to_thread(self._tracing.close)

    async def _show_awake(self, host: Host) -> None:
        """A tick longer than SHOWN_AFTER_S is a running task named `<behaviour>/<id> tick <n>`."""
        shown: set[tuple[str, int]] = set()
        me = ray.get_runtime_context().current_actor
        while True:
            await asyncio.sleep(SHOWN_AFTER_S / 2)
            here = {(cid, awake.adopted.epoch): awake for cid, awake in host.awake.items()}
            for key, awake in here.items():
                if key not in shown and monotonic() - awake.since > SHOWN_AFTER_S:
                    shown.add(key)
                    tick = awake.adopted.rev + 1
                    name = f"{awake.behaviour}/{key[0]} tick {tick}"
                    me.show.options(name=name).remote(key[0], tick)
            shown &= here.keys()


async def _until_overtaken(place: Held) -> None:
    await place.lost()
    telemetry.dying("a later process is in its place")
    os._exit(EXIT_OVERTAKEN)


async def _leave_when_idle(host: Host, linger_ms: int | None) -> None:
    """A dedicated actor ends, normally, when it has been idle for `linger_ms`."""
    if linger_ms is None:
        return
    while (idle_ms := host.idle_ms()) is None or idle_ms < linger_ms:  # noqa: ASYNC110 - rest has no event
        await asyncio.sleep(linger_ms / 4000)
    host.stop()
