"""A plain process that ticks, or that keeps the loops: what a pool's actor does, without Ray.

    python -m maestro.chaos.body    reads one line of JSON (Role) from standard input

Invariants: it ends when its parent does, whatever ended that; told to end (SIGTERM) it finishes or hands back its tick.
"""

import asyncio
import importlib
import os
import signal
import sys
import threading
from typing import Literal

from pydantic import BaseModel, ConfigDict

from maestro import telemetry
from maestro.adapters.redis.backend import open_backend
from maestro.adapters.sandbox.tools import ToolWorkers
from maestro.chaos.asking import PRICES, asking
from maestro.chaos.workload import TOOLS, Teller
from maestro.continuation.envelope import Seal
from maestro.field.local import LocalRanker
from maestro.ids import HolderId, TenantId
from maestro.pager.desk import PagerDesk
from maestro.policy.question import PolicyConfig
from maestro.runtime.backend import Backend
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import Projector, Reaper, Timekeeper, keep
from maestro.runtime.relay import Relay
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Repertoire
from maestro.tick.blocks import Keeper
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import Surroundings
from maestro.tick.workbench import Workbench
from maestro.tools.registry import Toolbox

TICK_DEADLINE_MS = 60_000
IDLE_MS = 500


class Role(BaseModel):
    """What one process is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["host", "loops"]
    url: str
    tenant: str
    key: str
    holder: str
    slots: int = 4
    lease_ms: int = 2_000
    provider: str = ""
    """Base URL of a provider in OpenAI's format."""
    preload: str = ""
    """A module that is imported first: how tests make a build that lacks a guard."""


def main() -> None:
    role = Role.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if role.preload:
        importlib.import_module(role.preload)
    telemetry.configure(role.holder, "error")
    asyncio.run(_host(role) if role.kind == "host" else _loops(role))
    os._exit(0)  # nothing of it waits for a thread that reads


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


async def _open(role: Role) -> Backend:
    return await open_backend(role.url, TenantId(role.tenant))


async def _host(role: Role) -> None:
    backend, workers = await _open(role), ToolWorkers(at_most=1)
    bench = Workbench(Toolbox(TOOLS), workers, backend.tools, backend.journals)
    desk = PagerDesk(asking(role.provider), JournaledAnswers(backend.journals))
    keeper = Keeper(backend.blocks)
    faculties = Faculties(backend.shelf, desk, PRICES, PolicyConfig(advisor_enabled=False), keeper, bench)
    around = Surroundings(
        store=backend.store,
        seal=Seal(role.key.encode()),
        tenant=backend.tenant,
        repertoire=Repertoire([Teller]),
        make_mind=lambda adopted, before, journal, inbox: ThinkingMind(faculties, adopted, before, journal, inbox),
        tick_deadline_ms=TICK_DEADLINE_MS,
    )
    settings = HostSettings("default", HolderId(role.holder), backend.partitions, role.slots, role.lease_ms, IDLE_MS)
    host = Host(settings, around, backend.signals)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, host.stop)
    await host.serve()
    await workers.close()


async def _loops(role: Role) -> None:
    backend = await _open(role)
    projector = Projector(backend, Seal(role.key.encode()), LocalRanker())
    loops = (Timekeeper(backend), Relay(backend), Reaper(backend), projector)
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(keep(type(loop).__name__, loop.step, loop.wait))


if __name__ == "__main__":
    main()
