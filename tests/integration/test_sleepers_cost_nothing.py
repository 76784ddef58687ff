"""A sleeper has no process, no poll, no command: what Redis carries out is the same with none and with 10,000 asleep.

Counted are commands, scripts' inner ones too, over so many idle rounds of every loop; time plays no part.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import pytest
import redis

from maestro.behaviours.counter import Counter as CounterBehaviour
from maestro.budget.vector import BudgetVector
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.field.local import LocalRanker
from maestro.ids import HolderId, TenantId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import Projector, Reaper, Timekeeper, keep
from maestro.runtime.relay import Relay
from maestro.runtime.verbs import Installation, Start
from maestro.tick.behaviour import Repertoire
from maestro.tick.mindless import Mindless
from maestro.tick.runner import Surroundings

TENANT = TenantId("default")
SEAL = Seal(b"a key of thirty-two bytes to test")
MINDLESS = Mindless("no tick of this test thinks", "use another behaviour")
SLEEPERS = 10_000
ROUNDS = 20
ROUND_MS = 5  # of an idle wait that ends without a signal
AT_ONCE = 256
PATIENCE_S = 90.0
OF_THE_TELLER = tuple(f"cmdstat_{name}" for name in ("info", "config", "auth", "client", "hello"))
OF_THE_CLOCK = "cmdstat_set"  # what was last told is kept at most ten times a second, however many sleep


@dataclass
class CountedRounds:
    """Signals that let each loop go round so many times, and then hold it for good."""

    within: Any
    rounds: int
    waits: Counter[str] = field(default_factory=Counter)

    async def wait(self, name: str, timeout_ms: int, *others: str) -> bool:
        self.waits[name] += 1
        if self.waits[name] > self.rounds:
            await asyncio.Event().wait()
        return bool(await self.within.wait(name, min(timeout_ms, ROUND_MS), *others))

    async def rouse(self, name: str) -> None:
        await self.within.rouse(name)


@pytest.mark.spec("01.2")
@pytest.mark.slow
async def test_ten_thousand_sleepers_cost_neither_a_command_nor_a_process(url: str, backend: Backend) -> None:
    with_none, processes = await idle_commands(url, backend), _processes()
    await fall_asleep(backend, SLEEPERS)

    assert await idle_commands(url, backend) == with_none
    assert _processes() == processes


async def test_the_count_sees_a_sleeper_that_polls(url: str, backend: Backend) -> None:
    with_none = await idle_commands(url, backend)

    async def poll() -> None:
        for _ in range(ROUNDS):
            await backend.clock.now_ms()

    assert await idle_commands(url, backend, poll) != with_none


async def idle_commands(url: str, backend: Backend, beside: Any = None) -> dict[str, int]:
    """Command -> how often it was carried out while every loop went ROUNDS times round and found nothing."""
    signals = CountedRounds(backend.signals, ROUNDS)
    idle = replace(backend, signals=signals)
    await asyncio.gather(*(loop.step() for loop in _loops(idle)))  # what their first look costs is not counted
    with redis.Redis.from_url(url) as teller:
        teller.config_resetstat()
        reaped = await _go_round(idle, signals)
        if beside is not None:
            await beside()
        stats = teller.info("commandstats")
    assert reaped == 0
    return {name: told["calls"] for name, told in stats.items() if not name.startswith((*OF_THE_TELLER, OF_THE_CLOCK))}


async def _go_round(idle: Backend, signals: CountedRounds) -> int:
    """Every loop and a host of 8 slots have gone ROUNDS times round; returns what the reaper reclaimed."""
    host = _host(idle)
    *signalled, reaper = _loops(idle)
    tasks = [asyncio.create_task(keep(type(loop).__name__, loop.step, loop.wait)) for loop in signalled]
    tasks.append(asyncio.create_task(host.serve()))
    for _ in range(ROUNDS):
        await reaper.step()
    async with asyncio.timeout(PATIENCE_S):
        while len(signals.waits) < len(tasks) or min(signals.waits.values()) <= ROUNDS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return int(getattr(reaper, "reclaimed", 0))


async def fall_asleep(backend: Backend, count: int) -> None:
    """So many continuations have subscribed to something and sleep."""
    at, host = Installation(backend, SEAL, BudgetVector({})), _host(backend, slots=64)
    serving = asyncio.create_task(host.serve())
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(count, first + AT_ONCE))
        await asyncio.gather(*(verbs.start(at, _asked(number)) for number in numbers))
    async with asyncio.timeout(PATIENCE_S):
        while host.ticks < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def _asked(number: int) -> Start:
    wishes: Any = {"subscribe": f"news.of.{number}", "padding_bytes": 500}
    return Start("counter", GoalFrame(goal="sleep"), BudgetVector({"usd": 1_000}), input=wishes)


def _loops(backend: Backend) -> list[Any]:
    return [Timekeeper(backend), Relay(backend), Projector(backend, SEAL, LocalRanker()), Reaper(backend)]


def _host(backend: Backend, slots: int = 8) -> Host:
    around = Surroundings(backend.store, SEAL, TENANT, Repertoire([CounterBehaviour]), lambda *_: MINDLESS)
    return Host(HostSettings("default", HolderId("test#1"), backend.partitions, slots), around, backend.signals)


def _processes() -> int:
    return len(psutil.Process().children(recursive=True))
