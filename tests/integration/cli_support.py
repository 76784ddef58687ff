"""A town for the command line: an embedded Redis of its own, and in this process all that Ray would run around it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from maestro.adapters.redis import server
from maestro.bootstrap import install, repertoire
from maestro.client import Maestro
from maestro.continuation.envelope import Seal
from maestro.field.local import LocalRanker
from maestro.ids import HolderId
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult, ModelUsage, StopReason
from maestro.pager.prices import Price, PricedTarget, PriceTable, bill
from maestro.pager.request import ModelRequest
from maestro.pager.streaming import Chunk, Told
from maestro.pager.telling import Telling
from maestro.policy.gradient import Tier
from maestro.policy.question import PolicyConfig
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import Projector, Reaper, Timekeeper, keep
from maestro.runtime.relay import Relay
from maestro.runtime.verbs import Installation
from maestro.settings import Settings
from maestro.tick.answers import JournaledAnswers
from maestro.tick.blocks import Keeper
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import Surroundings
from maestro.tick.workbench import Workbench
from maestro.tools.calls import InlineTools
from maestro.tools.registry import Toolbox
from maestro.tools.room import RoomLimits, RoomyTools

T = TypeVar("T")
PRICE = Price(input_micros_per_mtok=3_000_000, output_micros_per_mtok=15_000_000, source="override")
PRICES = PriceTable(tiers={tier: (PricedTarget(target=f"stub/{tier}", price=PRICE),) for tier in Tier})
USAGE = ModelUsage(executor_input_tokens=100, executor_output_tokens=20)
CALL_USD_MICROS = 600  # 100 x 3 + 20 x 15, in micro-dollars
IDLE_MS = 100


class Town:
    """One installation whose loops and host run on a thread of this process."""

    def __init__(self, home: Path, *behaviours: str) -> None:
        self.home = home
        self.settings = Settings.load(home=home, clock="virtual", behaviours=behaviours or None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="town", daemon=True)
        self._running: list[asyncio.Task[None]] = []

    def __enter__(self) -> "Town":
        server.ensure(self.home)
        self._thread.start()
        self.at: Installation = self.do(install(self.settings))
        self.maestro = Maestro(self.at)
        self.do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        server.purge(self.home)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where everything here happens."""
        return self._loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of `work` on the town's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _open(self) -> None:
        backend = self.at.backend
        loops: dict[str, Timekeeper | Reaper | Relay | Projector] = {
            "timekeeper": Timekeeper(backend),
            "reaper": Reaper(backend),
            "relay": Relay(backend),
            "projector": Projector(backend, Seal(self.settings.mac_key_bytes()), LocalRanker()),
        }
        self._running = [asyncio.create_task(keep(name, loop.step, loop.wait)) for name, loop in loops.items()]
        telling = Telling(_answer, _in_pieces, backend.pieces)
        desk = PagerDesk(telling.answer, JournaledAnswers(backend.journals))
        workers = RoomyTools(InlineTools(), backend.room, RoomLimits(1 << 30, 1 << 30))
        bench = Workbench(Toolbox.load(self.settings.behaviours), workers, backend.tools, backend.journals)
        faculties = Faculties(
            backend.shelf, desk, PRICES, PolicyConfig(advisor_enabled=False), Keeper(backend.blocks), bench
        )
        around = Surroundings(
            store=backend.store,
            seal=self.at.seal,
            tenant=self.at.tenant,
            repertoire=repertoire(self.settings),
            make_mind=lambda adopted, before, journal, inbox: ThinkingMind(faculties, adopted, before, journal, inbox),
        )
        host = Host(
            HostSettings("default", HolderId("pool/default/0#town"), 1, idle_ms=IDLE_MS), around, backend.signals
        )
        self._running.append(asyncio.create_task(host.serve()))

    async def _close(self) -> None:
        for task in self._running:
            task.cancel()
        for task in self._running:
            with suppress(asyncio.CancelledError):
                await task
        await self.at.backend.close()


async def _answer(request: ModelRequest) -> ModelCallResult:
    """A provider that always says the same, for the same price."""
    billed = bill(request, USAGE, PRICE)
    content = "It bears on the goal." if request.answer_schema is None else orjson.dumps(_fitting(request)).decode()
    return ModelCallResult(
        content=content,
        tool_calls=(),
        stop_reason=StopReason.END,
        tier=request.tier,
        step=request.step,
        provider="stub",
        model=f"stub/{request.tier}",
        latency_ms=1,
        cost_usd_micros=billed.charge["usd"],
        usage=billed.usage,
        charge=billed.charge,
        estimated=billed.estimated,
        call_id=request.call_id,
        manifest_hash=request.manifest_hash,
    )


async def _in_pieces(request: ModelRequest) -> AsyncIterator[Told]:
    whole = await _answer(request)
    for word in whole.content.split(" "):
        yield Chunk(word if word.endswith(".") else f"{word} ")
    yield whole


def _fitting(request: ModelRequest) -> dict[str, object]:
    """An answer of the shape that was asked for, of the two that the shipped behaviours ask for."""
    asked = set((request.answer_schema or {}).get("properties") or {})  # type: ignore[arg-type]
    every = {"relevant": True, "confidence": 0.9, "reason": "it does", "summary": "It does.", "importance": 0.5}
    return {name: value for name, value in every.items() if name in asked}
