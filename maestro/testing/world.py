"""The whole of Maestro in one process, on virtual time and on a store in memory; as unlucky as a nemesis makes it.

    with World(seed=7) as world:
        cid = world.run(world.start("literature", goal, budget, input={"subject": "arxiv.cs.AI"}))
        world.run(world.publish("arxiv.cs.AI", "paper-1", {"title": ...}))
        world.run(world.quiet())

Every part but the provider is the production one: hosts, timekeeper, relay, reaper, projector, pager desk. Each runs in a
process of its own, which a nemesis may kill, pause or cut off; a killed one is restarted.
Invariant: the same seed, nemesis and code give the same run, to the byte (`fingerprint`).
What is not here: Ray, Redis, real time. What is checked afterwards: `maestro.testing.checks`.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from pydantic import JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.behaviours import Counter, Literature, Reader
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.errors import ProviderUnavailable, StoreUnavailable
from maestro.field.local import LocalRanker
from maestro.ids import ContinuationId, HolderId, drawn_from, new_holder_id
from maestro.mesh.event import new_event
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.policy.question import PolicyConfig
from maestro.runtime.backend import Backend
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import Projector, Reaper, Relay, Timekeeper, keep
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.verbs import Installation, Start, partitions, start
from maestro.testing.billing import PRICES, BillingProvider
from maestro.testing.faults import CLIENT, Fault, Nemesis, Peace
from maestro.testing.history import History
from maestro.testing.loop import LoopClock, VirtualLoop
from maestro.testing.process import Process, own_tasks
from maestro.testing.tally import Tally
from maestro.testing.wire import Wire, behind
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Behaviour, Repertoire
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import Surroundings

KEY = b"the key of a world that is not real"
SHIPPED: tuple[type[Behaviour[Any]], ...] = (Counter, Literature, Reader, Tally)
CLIENT_RETRY_S = 0.3
LOOK_S = 1.0  # how often somebody who waits for quiet looks
PAGER_RETRY_MS = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a world works: the settings of production, or slower ones where weeks are slept through."""

    hosts: int = 2
    slots: int = 2
    partitions: int = 2
    lease_ms: int = 10_000
    idle_ms: int = 5_000
    look_ms: int = 2_000
    """How often the reaper looks."""
    restart_s: float = 0.5
    """How long a killed process is away at most."""


SLOW = Pace(lease_ms=3_600_000, idle_ms=6 * 3_600_000, look_ms=6 * 3_600_000, restart_s=0.0)
"""For weeks of sleep: what nobody needs does not run every few seconds."""


@dataclass(slots=True)
class _Running:
    """A process and the host in it, if it is one of a pool."""

    process: Process
    host: Host | None = None


class World:
    """One installation of Maestro; enter it to start its processes."""

    def __init__(
        self,
        seed: int,
        *,
        nemesis: Nemesis | None = None,
        pace: Pace | None = None,
        behaviours: Iterable[type[Behaviour[Any]]] = SHIPPED,
        clock: ManualClock | None = None,
        provider: BillingProvider | None = None,
    ) -> None:
        self.random = Random(seed)
        self.clock = clock or LoopClock()
        self.pace = pace or Pace()
        self.backend: Backend = MemoryBackend(self.pace.partitions, self.clock)
        self.history = History(self.backend)
        self.provider = provider or BillingProvider()
        self.at = Installation(self.backend, Seal(KEY), BudgetVector({}))
        self._nemesis = nemesis or Peace()
        self._repertoire = Repertoire(behaviours)
        self._running: dict[str, _Running] = {}
        self._luck = Random(seed + 1)
        self._loop = VirtualLoop(self.clock)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        bits = Random(self.random.getrandbits(64))
        self.log = self._stack.enter_context(structlog.testing.capture_logs())
        self._stack.enter_context(drawn_from(bits.getrandbits))
        self._context = copy_context()
        own_tasks(self._loop)
        self.client = self._seen_by(Process(CLIENT))
        self._publisher = MeshPublisher(self.client.backend.router, self.pace.partitions)
        for name in self._roles():
            self._begin(name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._loop.run_until_complete(self._end())
        finally:
            self._loop.close()
            self._stack.close()

    # ------------------------------------------------------------ what a test does

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """`work` is done, and as much virtual time has passed as it took.

        Raises:
            Standstill: it waits for what cannot come.
            ExceptionGroup: a process ended by a defect of its own.
        """
        return self._loop.run_until_complete(work)

    async def start(
        self, behaviour: str, goal: str, budget: BudgetVector, *, input: JsonValue = None, name: str | None = None
    ) -> ContinuationId:
        """A root exists."""
        asked = Start(behaviour, GoalFrame(goal=goal), budget, input, name)
        return await start(self.at, asked)

    async def publish(self, subject: str, key: str, payload: JsonValue, type: str = "feed.item") -> None:
        """The event is acknowledged: what came of it is known."""
        event = new_event(subject, type, "source.world", key, payload, await self.clock.now_ms())
        await self.known(lambda: self._publisher.publish(event))

    async def known(self, act: Callable[[], Awaitable[T]]) -> T:
        """The outcome of `act`, asked for again as long as it is unknown; `act` is safe to repeat."""
        while True:
            try:
                return await act()
            except StoreUnavailable:
                await asyncio.sleep(CLIENT_RETRY_S)

    async def quiet(self, within_s: float = 600.0) -> bool:
        """True as soon as nobody is ready or held and nothing is on its way; False when that takes longer."""
        deadline_s = self._loop.time() + within_s
        while not await self._is_quiet():
            if self._loop.time() > deadline_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def ids(self) -> list[ContinuationId]:
        """Everybody, in the order of birth within each partition."""
        return [cid for partition in partitions(self.at) for cid in await self.backend.records.ids(partition)]

    async def fingerprint(self) -> str:
        """One hash over every log and every call that was made: the same for the same run only."""
        whole = hashlib.sha256(self.history.fingerprint.encode())
        for cid in await self.ids():
            for at_ms, record in await self.backend.records.log(cid):
                whole.update(f"{cid} {at_ms} ".encode() + record)
        return whole.hexdigest()

    def time_s(self) -> float:
        """Virtual seconds since the world began."""
        return self._loop.time()

    # ------------------------------------------------------------ what befalls a process (wire.Accidents)

    def crash(self, process: Process) -> None:
        """The process is gone; another takes its place, and what it held is handed on, soon or when its lease ends."""
        process.kill()
        running = self._running.get(process.name)
        if running is None or running.process is not process:
            return
        away_s = self.pace.restart_s * self._luck.random()
        heard = self.pace.restart_s == 0 or self._luck.random() < 0.7
        self._loop.call_later(away_s, self._replace, process.name, heard, context=self._context)

    def pause(self, process: Process) -> None:
        process.paused_until_s = self._loop.time() + self.pace.lease_ms / 1000 * (0.2 + 2 * self._luck.random())

    async def report_dead(self, process: Process) -> None:
        running = self._running.get(process.name)
        if running is not None and running.host is not None:
            await self._bury(running.host)

    def jump_clock(self) -> None:
        self.clock.advance(int(self.pace.lease_ms * (1 + self._luck.random())))

    # ------------------------------------------------------------ processes

    def _roles(self) -> list[str]:
        hosts = [f"pool/default/{number}" for number in range(self.pace.hosts)]
        return ["pager", "timekeeper", "relay", "reaper", "projector", *hosts]

    def _begin(self, name: str) -> None:
        process = Process(name)
        seen = self._seen_by(process)
        running = self._running[name] = _Running(process)
        self._context.run(process.run, self._work(name, seen, running))

    def _replace(self, name: str, heard: bool) -> None:
        dead = self._running[name]
        if heard and dead.host is not None:
            self._loop.create_task(self._bury(dead.host), context=self._context)
        self._begin(name)

    async def _bury(self, host: Host) -> None:
        """All that is held under the name that a supervisor knows is handed on."""
        for partition in partitions(self.at):
            await self.backend.leases.reclaim(host.settings.holder, partition)

    def _seen_by(self, process: Process) -> Installation:
        wire = Wire(process, self._nemesis, self.history, self)
        return Installation(behind(wire, self.backend), self.at.seal, self.at.default_budget)

    async def _work(self, name: str, seen: Installation, running: _Running) -> None:
        """What the process called `name` does all its life."""
        backend, pace = seen.backend, self.pace
        loop: Timekeeper | Relay | Reaper | Projector
        match name:
            case "pager":
                self._desk = PagerDesk(self.provider.answer, JournaledAnswers(backend.journals))
                return
            case "timekeeper":
                loop = Timekeeper(backend, idle_ms=pace.idle_ms)
            case "relay":
                loop = Relay(backend, idle_ms=pace.idle_ms)
            case "reaper":
                loop = Reaper(backend, look_ms=pace.look_ms)
            case "projector":
                loop = Projector(backend, seen.seal, seen.tenant, LocalRanker(), idle_ms=pace.idle_ms)
            case _:
                running.host = self._host(name, backend)
                await running.host.serve()
                return
        await keep(name, loop.step, loop.wait)

    def _host(self, name: str, backend: Backend) -> Host:
        pager = _PagerOfWorld(self)
        faculties = Faculties(backend.shelf, pager, PRICES, PolicyConfig(advisor_enabled=False))
        around = Surroundings(
            store=backend.store,
            seal=self.at.seal,
            tenant=self.at.tenant,
            repertoire=self._repertoire,
            make_mind=lambda adopted, before, journal, inbox: ThinkingMind(faculties, adopted, before, journal, inbox),
        )
        pace = self.pace
        how = HostSettings("default", new_holder_id(name), pace.partitions, pace.slots, pace.lease_ms, pace.idle_ms)
        return Host(how, around, backend.signals)
