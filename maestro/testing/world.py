"""The whole of Maestro in one process, on virtual time and on a store in memory; as unlucky as a nemesis makes it.

    with World(seed=7) as world:
        cid = world.run(world.start("literature", "what bears on ...", Budget(usd="5")))
        world.run(world.publish("arxiv.cs.AI", "paper-1", {"title": ...}))
        assert world.run(world.quiet())

Every part but the provider is the production one: hosts, timekeeper, relay, reaper, projector, pager desk. Each runs
in a process of its own, which a nemesis may kill, pause or cut off; a killed one is restarted.
Invariant: the same seed, nemesis and code give the same run, to the byte (`fingerprint`).
What is not here: Ray, Redis, real time. What is checked afterwards: `maestro.testing.checks`.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import ExitStack
from contextvars import copy_context
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from pydantic import JsonValue

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.adapters.memory.state import Memory
from maestro.behaviours import Counter, Literature, Reader
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.errors import StoreUnavailable
from maestro.ids import ContinuationId, drawn_from
from maestro.mesh.event import new_event
from maestro.runtime.backend import Backend
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.verbs import Installation, Start, partitions, start
from maestro.testing.billing import BillingProvider
from maestro.testing.crew import SLOW, Crew, Pace, Parts
from maestro.testing.faults import CLIENT, Nemesis, Peace
from maestro.testing.history import History
from maestro.testing.loop import LoopClock, VirtualLoop
from maestro.testing.process import Process, own_tasks
from maestro.testing.reasons import Watch
from maestro.testing.stray import Stray
from maestro.testing.tally import Tally
from maestro.tick.behaviour import Behaviour, Repertoire
from maestro.tools.registry import Toolbox
from maestro.tools.spec import Tool

__all__ = ["SHIPPED", "SLOW", "Pace", "World"]

KEY = b"the key of a world that is not real"
SHIPPED: tuple[type[Behaviour[Any]], ...] = (Counter, Literature, Reader, Stray, Tally)
RETRY_S = 0.3  # between two tries of a client whose call has no reply
LOOK_S = 1.0  # how often somebody who waits for quiet looks

T = TypeVar("T")


class World:
    """One installation of Maestro; entered, its processes run.

    Args:
        build: the store over what it holds; those who test the checks give a broken one.
    """

    def __init__(
        self,
        seed: int,
        *,
        nemesis: Nemesis | None = None,
        pace: Pace | None = None,
        behaviours: Iterable[type[Behaviour[Any]]] = SHIPPED,
        tools: Iterable[Tool] = (),
        clock: ManualClock | None = None,
        provider: BillingProvider | None = None,
        build: Callable[[Memory], Backend] = backend_over,
    ) -> None:
        self.pace = pace = pace or Pace()
        self.clock = clock or LoopClock()
        memory = empty_memory(pace.partitions, self.clock)
        self.backend = build(memory)
        self.history = History(self.backend)
        self.provider = provider or BillingProvider()
        self.at = Installation(self.backend, Seal(KEY), BudgetVector({}))
        """The store without bad luck: for looking."""
        self.log: list[Any] = []
        self.watch = Watch(memory, self.at.seal, self.at.tenant, self.history.violations)
        self._loop = VirtualLoop(self.clock, self._still)
        self._stack = ExitStack()
        self._names = Random(f"names {seed}")
        with drawn_from(self._names.getrandbits):
            context = copy_context()
        self._crew = Crew(
            Parts(
                at=self.at,
                repertoire=Repertoire(behaviours),
                toolbox=Toolbox(tools),
                provider=self.provider,
                nemesis=nemesis or Peace(),
                history=self.history,
                pace=pace,
                luck=Random(f"luck {seed}"),
                context=context,
                jump_clock=self.clock.advance,
            )
        )
        self.people = self._crew.seen_by(Process(CLIENT))
        """The store as people and programs outside reach it, with the bad luck of everybody."""
        self._publisher = MeshPublisher(self.people.backend.router, pace.partitions)

    def __enter__(self) -> Self:
        self.log = self._stack.enter_context(structlog.testing.capture_logs())
        self._stack.enter_context(drawn_from(self._names.getrandbits))
        own_tasks(self._loop)
        self._loop.set_exception_handler(self.history.defect)
        self.run(self._begin())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.run(self._crew.end())
        finally:
            self._loop.close()
            self._stack.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """`work` is done, and as much virtual time has passed as it took.

        Raises:
            Standstill: it waits for what cannot come.
        """
        task = self._loop.create_task(work)
        try:
            return self._loop.run_until_complete(task)
        finally:
            task.cancel()

    def time_s(self) -> float:
        """Virtual seconds since the world began."""
        return self._loop.time()

    async def start(
        self, behaviour: str, goal: str, budget: BudgetVector, *, input: JsonValue = None, name: str | None = None
    ) -> ContinuationId:
        """A root exists."""
        return await start(self.at, Start(behaviour, GoalFrame(goal=goal), budget, input, name))

    async def sleep(self, seconds: float) -> None:
        """So much virtual time has passed."""
        await asyncio.sleep(seconds)

    async def publish(self, subject: str, key: str, payload: JsonValue = None) -> None:
        """The event is acknowledged."""
        event = new_event(subject, "feed.item", "source.world", key, payload, await self.clock.now_ms())
        await self.known(lambda: self._publisher.publish(event))

    async def known(self, act: Callable[[], Awaitable[T]]) -> T:
        """The outcome of `act`, asked for again as long as it is unknown; `act` is safe to repeat."""
        while True:
            try:
                return await act()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    async def quiet(self, within_s: float = 600.0) -> bool:
        """True as soon as nobody is ready or held and nothing is on its way; False when that takes longer."""
        deadline_s = self._loop.time() + within_s
        while not await self.is_quiet():
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

    def _still(self) -> None:
        if self.history.touched:
            self.history.touched = False
            self.watch.look()

    async def _begin(self) -> None:
        self._crew.begin()

    async def is_quiet(self) -> bool:
        """True when nobody is ready, held or to be tried again, and nothing is on its way."""
        for partition in partitions(self.at):
            counts = await self.backend.records.counts(partition)
            ready = sum(depth for name, depth in counts.items() if name.startswith("ready:"))
            if ready or counts["outbox"] or counts["projections"]:
                return False
        for cid in await self.ids():
            glance = await self.backend.records.glance(cid)
            if glance is not None and (glance.holder is not None or (glance.error is not None and glance.hold is None)):
                return False
        return True
