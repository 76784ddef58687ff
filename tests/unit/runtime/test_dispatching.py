"""Many calls that nobody waits for with a process, and the brake before each of them."""

import asyncio

import pytest

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.ids import Partition
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Tier
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.runner import run
from tests.stage import CountingModel, Stage
from tests.unit.pager.scripted import FakeTime, ScriptedProvider, table

MANY = 300


class Patient(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Finish(result=await tick.think("how long?", step="haiku", mode="async"))


class Slow(CountingModel):
    """A provider that works until it is told to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        await self.answers.wait()
        return await super().__call__(request)


@pytest.mark.shows("6.6")
async def test_three_hundred_in_slow_calls_hold_no_slot_and_all_are_answered():
    model = Slow()
    stage = Stage(backend_over(empty_memory(1, ManualClock())), Patient, model=model)
    cids = [await stage.start(Patient) for _ in range(MANY)]
    while (adopted := await stage.adopt()) is not None:  # one slot takes them all, one after the other
        await stage.write(adopted, await run(adopted, stage.around))
    await stage.dispatcher.step()
    assert stage.dispatcher.under_way == MANY
    assert (await stage.backend.records.counts(Partition(0)))["committed"] == MANY
    model.answers.set()
    await stage.settle()
    assert [(await stage.checkpoint(cid)).result for cid in cids] == ["ok"] * MANY
    assert model.asked == MANY


async def test_under_the_brake_no_placed_call_leaves_whoever_takes_it_and_afterwards_it_does():
    time = FakeTime()
    stage = Stage(backend_over(empty_memory(1, ManualClock())), Patient)
    provider = ScriptedProvider("a", time)
    router = FailoverModelRouter(
        {Tier.HAIKU: [provider]}, table("a"), None, time.timing(), notices=stage.backend.notices
    )
    stage.desk._answering = router.answer
    cid = await stage.start(Patient)
    await stage.committed()
    await stage.backend.steering.brake(True)
    await stage.settle()
    assert provider.calls == 0
    await stage.backend.steering.brake(False)
    for _ in range(3):
        await stage.advance(60_000)
        await stage.settle()
    assert provider.calls == 1
    assert (await stage.checkpoint(cid)).result == "a"
