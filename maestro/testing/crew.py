"""The processes of a simulated world: who they are, how they die, and how they come again.

Invariant: each role is filled at every moment, but for the time that a restart takes; a dead host's continuations are
handed on by an obituary or, where nobody hears it, by the end of its lease.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from random import Random

from maestro.errors import ProviderUnavailable
from maestro.field.local import LocalRanker
from maestro.ids import HolderId, new_holder_id
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.policy.question import PolicyConfig
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import Projector, Reaper, Timekeeper, keep
from maestro.runtime.relay import Relay
from maestro.runtime.verbs import Installation, partitions
from maestro.testing.billing import PRICES, BillingProvider
from maestro.testing.faults import Nemesis
from maestro.testing.history import History
from maestro.testing.process import Process
from maestro.testing.wire import Wire, behind
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Repertoire
from maestro.tick.blocks import Keeper
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import Surroundings
from maestro.tick.workbench import Workbench
from maestro.tools.calls import InlineTools
from maestro.tools.registry import Toolbox

LINGER_MS = 2_000  # longer than most sleeps between two wakes here, shorter than some
PAGER_RETRY_MS = 500
HEARD = 0.7  # how many deaths are told at once; the others are found by the end of a lease
PAGER, POOL = "pager", "pool/default/"


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
    """How long a killed process is away at most; 0: it is replaced, and its death heard of, at once."""


SLOW = Pace(lease_ms=7 * 86_400_000, idle_ms=86_400_000, look_ms=86_400_000, restart_s=0.0)
"""For weeks of sleep without bad luck: what nobody needs does not run every few seconds."""

WEEKS = Pace(lease_ms=600_000, idle_ms=3_600_000, look_ms=300_000, restart_s=60.0)
"""For weeks of sleep with bad luck: a lost signal costs an hour, a lost lease some minutes."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the crew works with."""

    at: Installation
    repertoire: Repertoire
    toolbox: Toolbox
    provider: BillingProvider
    nemesis: Nemesis
    history: History
    pace: Pace
    luck: Random
    context: Context
    jump_clock: Callable[[int], object]


@dataclass(slots=True)
class _Member:
    process: Process
    holder: HolderId | None = None


class Crew:
    """Every process of a world; also wire.Accidents."""

    def __init__(self, parts: Parts) -> None:
        self._with = parts
        self._members: dict[str, _Member] = {}
        self._desk: PagerDesk | None = None

    @property
    def processes(self) -> Sequence[Process]:
        return [member.process for member in self._members.values()]

    def begin(self) -> None:
        """Every role is filled."""
        hosts = [f"{POOL}{number}" for number in range(self._with.pace.hosts)]
        for name in (PAGER, "timekeeper", "relay", "reaper", "projector", *hosts):
            self._fill(name)

    def seen_by(self, process: Process) -> Installation:
        """The store as `process` reaches it."""
        at = self._with.at
        wire = Wire(process, self._with.nemesis, self._with.history, self)
        return Installation(behind(wire, at.backend), at.seal, at.default_budget)

    async def end(self) -> None:
        """All are gone."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            await process.ended()

    def crash(self, process: Process) -> None:
        process.kill()
        self._with.history.deaths[process.name] += 1
        member, pace, luck = self._members.get(process.name), self._with.pace, self._with.luck
        if member is not None and member.process is process:
            heard = pace.restart_s == 0 or luck.random() < HEARD
            loop = asyncio.get_running_loop()
            loop.call_later(
                pace.restart_s * luck.random(), self._replace, process.name, heard, context=self._with.context.copy()
            )

    def pause(self, process: Process) -> None:
        lease_s = self._with.pace.lease_ms / 1000
        process.paused_until_s = asyncio.get_running_loop().time() + lease_s * (0.2 + 2 * self._with.luck.random())

    async def report_dead(self, process: Process) -> None:
        member = self._members.get(process.name)
        if member is not None and member.holder is not None:
            await self._hand_on(member.holder)

    def jump_clock(self) -> None:
        self._with.jump_clock(int(self._with.pace.lease_ms * (1 + self._with.luck.random())))

    async def answer(self, request: ModelRequest) -> ModelCallResult:
        """The pager's answer, as long as the pager lives.

        Raises:
            ProviderUnavailable: it died meanwhile; as `actors.paging` says it.
        """
        pager, desk = self._members[PAGER].process, self._desk
        if desk is None or not pager.alive:
            raise _pager_died()
        asked: asyncio.Task[ModelCallResult] = pager.run(desk.call(request))
        asked.add_done_callback(_seen)
        await asyncio.wait({asked})
        if asked.cancelled():
            raise _pager_died()
        return asked.result()

    def _fill(self, name: str) -> None:
        process = Process(name)
        member = self._members[name] = _Member(process)
        backend = self.seen_by(process).backend
        if name == PAGER:
            self._desk = PagerDesk(self._with.provider.answer, JournaledAnswers(backend.journals))
            return
        if name.startswith(POOL):
            member.holder = new_holder_id(name)
        task = self._with.context.copy().run(process.run, self._work(process, member.holder))
        task.add_done_callback(lambda done: self._with.history.ended(name, done))

    def _replace(self, name: str, heard: bool) -> None:
        holder = self._members[name].holder
        self._fill(name)
        if heard and holder is not None:
            self._members[name].process.run(self._hand_on(holder))

    async def _hand_on(self, holder: HolderId) -> None:
        """All that is held under the name that a supervisor knows is ready again."""
        at = self._with.at
        for partition in partitions(at):
            await at.backend.leases.reclaim(holder, partition)

    async def _work(self, process: Process, holder: HolderId | None) -> None:
        """What a process does all its life."""
        seen, pace = self.seen_by(process), self._with.pace
        backend = seen.backend
        loop: Timekeeper | Relay | Reaper | Projector
        match process.name:
            case "timekeeper":
                loop = Timekeeper(backend, idle_ms=pace.idle_ms)
            case "relay":
                loop = Relay(backend, idle_ms=pace.idle_ms)
            case "reaper":
                loop = Reaper(backend, look_ms=pace.look_ms)
            case "projector":
                loop = Projector(backend, seen.seal, LocalRanker(), idle_ms=pace.idle_ms)
            case _:
                assert holder is not None  # noqa: S101 - hosts have one
                await self._host(seen, holder).serve()
                return
        await keep(process.name, loop.step, loop.wait)

    def _host(self, seen: Installation, holder: HolderId) -> Host:
        backend = seen.backend
        faculties = Faculties(
            backend.shelf,
            _Pager(self),
            PRICES,
            PolicyConfig(advisor_enabled=False),
            Keeper(backend.blocks),
            Workbench(self._with.toolbox, InlineTools(), backend.tools, backend.journals),
        )
        around = Surroundings(
            store=backend.store,
            seal=seen.seal,
            tenant=seen.tenant,
            repertoire=self._with.repertoire,
            make_mind=lambda adopted, before, journal, inbox: ThinkingMind(faculties, adopted, before, journal, inbox),
        )
        pace = self._with.pace
        how = HostSettings("default", holder, pace.partitions, pace.slots, pace.lease_ms, pace.idle_ms, LINGER_MS)
        return Host(how, around, backend.signals)


@dataclass(frozen=True, slots=True)
class _Pager:
    """maestro.tick.mind.Pager: whoever is the pager at the moment of the call."""

    crew: Crew

    async def call(self, request: ModelRequest) -> ModelCallResult:
        return await self.crew.answer(request)


def _seen(asked: "asyncio.Task[ModelCallResult]") -> None:
    """A failure is no defect, even where its caller died meanwhile."""
    if not asked.cancelled():
        asked.exception()


def _pager_died() -> ProviderUnavailable:
    return ProviderUnavailable("the pager died", hint="the tick is tried again", retry_after_ms=PAGER_RETRY_MS)
