"""F14: the clock of the store's machine jumps. A real Redis, whose clock is shifted under it by a preloaded library."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from maestro.adapters.redis.backend import open_backend
from maestro.chaos.store_child import StoreChild
from maestro.continuation.directive import Closing, Sleep
from maestro.errors import Fenced
from maestro.ids import ContinuationId, Partition, TenantId
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import ALICE, LEASE_MS, Stage

HOUR_S = 3_600
SOON_MS, LATER_MS = 700, 60_000
PATIENCE_S = 30.0
FIRST = Partition(0)
KEPT_TO_MS = 100  # STEP_MS of clock.lua: so exactly it is kept what was told


class Rings(BaseModel):
    rung: list[str] = []


class Alarm(Behaviour[Rings]):
    """Rings soon, and once more in a minute."""

    async def start(self, tick: Tick[Rings]) -> Closing | None:
        tick.set_timer("soon", tick.now_ms + SOON_MS)
        tick.set_timer("later", tick.now_ms + LATER_MS)
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[Rings], timer_id: str) -> Closing | None:
        tick.state.rung.append(timer_id)
        return Sleep.until_woken()


@dataclass
class Machine:
    """The machine of a store, with a clock that can be set."""

    store: StoreChild
    shift: Path

    def set_clock(self, seconds: int) -> None:
        """Its clock is off by so much from now on."""
        new = self.shift.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.shift)


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a clock is shifted by a library that a C compiler makes")
    folder = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))
    made = folder / "shift.so"
    source = Path(__file__).with_name("clock_shift.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    yield made
    shutil.rmtree(folder)


@pytest.fixture
async def machine(library: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="mj-", dir="/tmp"))
    made = Machine(StoreChild(folder / "store"), folder / "shift")
    made.set_clock(0)
    with monkeypatch.context() as preloaded:
        preloaded.setenv("LD_PRELOAD", str(library))
        preloaded.setenv("CLOCK_SHIFT_FILE", str(made.shift))
        await made.store.start()
    yield made
    await made.store.kill()
    shutil.rmtree(folder)


@pytest.fixture
async def stage(machine: Machine) -> AsyncIterator[Stage]:
    backend = await open_backend(machine.store.url, TenantId("shifted"))
    yield Stage(backend, Alarm)
    await backend.close()


async def rung(stage: Stage, cid: ContinuationId) -> list[str]:
    return list((await stage.state(cid))["rung"])


async def passes(stage: Stage, cid: ContinuationId, wanted: list[str]) -> list[int]:
    """What the clock told, look after look, until these timers have rung."""
    told: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while await rung(stage, cid) != wanted:
            await stage.settle()
            told.append(await stage.backend.clock.now_ms())
    return told


async def seen(backend: Backend, name: str) -> int:
    return int((await backend.records.counts(FIRST)).get(name, 0))


async def test_set_back_by_an_hour_the_store_s_clock_goes_on_and_nothing_rings_twice(
    machine: Machine, stage: Stage
) -> None:
    cid = await stage.start(Alarm)
    await stage.settle()
    before = (await stage.backend.timers.fire(FIRST)).now_ms
    machine.set_clock(-HOUR_S)
    assert (await stage.backend.timers.fire(FIRST)).now_ms >= before
    told = await passes(stage, cid, ["soon"])
    assert told == sorted(told)
    assert told[0] >= before
    assert await seen(stage.backend, "clock_set_back") == 1
    assert await seen(stage.backend, "clock_ahead_ms") > (HOUR_S - 60) * 1_000
    machine.set_clock(0)
    await stage.settle()
    assert await stage.backend.clock.now_ms() >= told[-1] - KEPT_TO_MS
    assert await seen(stage.backend, "clock_ahead_ms") == 0, "it has joined the machine's clock again"
    assert await rung(stage, cid) == ["soon"]
    await stage.audit()


async def test_an_hour_ahead_it_stands_still_until_another_clock_agrees(machine: Machine, stage: Stage) -> None:
    cid = await stage.start(Alarm)
    await stage.settle()
    before = await stage.backend.clock.now_ms()
    machine.set_clock(HOUR_S)
    for _ in range(3):
        await stage.settle()
    assert await stage.backend.clock.now_ms() - before < LATER_MS
    assert await rung(stage, cid) == [], "an hour that nobody else has seen rings nothing"
    assert await seen(stage.backend, "clock_doubted") == 1
    assert await seen(stage.backend, "clock_doubted_ms") > (HOUR_S - 60) * 1_000
    machine.set_clock(0)
    told = await passes(stage, cid, ["soon"])
    assert told == sorted(told)
    assert await seen(stage.backend, "clock_doubted_ms") == 0
    await stage.audit()


async def test_after_a_quiet_hour_that_others_have_seen_too_it_goes_on_at_once(machine: Machine, stage: Stage) -> None:
    """What a quiet hour leaves behind: what was last told is an hour old."""
    cid = await stage.start(Alarm)
    await stage.settle()
    place = "maestro:shifted:{0}"
    now_ms = await stage.backend.clock.now_ms()
    await machine.store.say("SET", f"{place}:floor", now_ms - HOUR_S * 1_000)
    assert await stage.backend.clock.now_ms() < now_ms
    await stage.settle()
    assert await stage.backend.clock.now_ms() >= now_ms
    await passes(stage, cid, ["soon"])


@pytest.mark.parametrize("hours", [1, -1])
async def test_whatever_the_clock_does_a_stale_holder_commits_nothing(
    machine: Machine, stage: Stage, hours: int
) -> None:
    """A lease may end late while the clock stands still; safety is the epoch."""
    cid = await stage.start(Alarm)
    stale = await stage.taken()
    machine.set_clock(hours * HOUR_S)
    assert await stage.backend.leases.expired(FIRST) == [], f"a jump is no {LEASE_MS} ms without a word"
    assert await stage.backend.leases.reclaim(ALICE, FIRST) == 1
    await stage.settle()
    with pytest.raises(Fenced):
        await stage.backend.store.release(cid, stale.epoch, 0, "late", counts=False)
    await stage.audit()
