"""More calls under way at one provider than an HTTP client usually has connections."""

import asyncio
import threading

import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import Mode
from maestro.pager.retries import RetryPolicy
from maestro.policy.gradient import Tier
from maestro.testing.formats import JsonObject
from maestro.testing.provider import FakeProvider, Reply, Say
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.thinking import Soon
from tests.contract.models import asking, router, target
from tests.stage import Stage

CROWD = 104  # httpx opens 100 connections
SLOTS = 2  # of calls that a tick waits for
HASTE = "who is waiting here?"
pytestmark = [pytest.mark.usefixtures("models_loaded"), pytest.mark.timeout(400)]


@pytest.mark.shows("6.6")
@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
async def test_each_call_has_a_connection_of_its_own(wire: str) -> None:
    """Nobody is answered before all are there: with fewer connections the barrier breaks."""
    all_there = threading.Barrier(CROWD)

    def say(_: object) -> Say:
        all_there.wait(120)
        return Say("here")

    with FakeProvider(Reply(say)) as fake:
        made = router({Tier.HAIKU: [target(wire, fake)]}, RetryPolicy(max_retries=0))
        request = asking(made, mode=Mode.ASYNC, deadline_ms=150_000)
        try:
            answers = await asyncio.gather(*(made.answer(request) for _ in range(CROWD)))
        finally:
            await made.close()
    assert {answer.content for answer in answers} == {"here"}


class Asker(Behaviour[NoState]):
    """Asks what its goal says, as soon as its input says."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        mode: Soon = "sync" if tick.goal.goal == HASTE else "async"
        return Finish(result=await tick.think(tick.goal.goal, step="haiku", max_output_tokens=100, mode=mode))


@pytest.mark.shows("6.6")
@pytest.mark.spec("05.3")
async def test_a_crowd_in_slow_calls_holds_no_continuation_awake_and_no_slot_of_those_who_wait() -> None:
    released = threading.Event()

    def say(body: JsonObject) -> Say:
        if HASTE not in str(body):
            released.wait(120)
        return Say("here", 10, 5)

    with FakeProvider(Reply(say)) as fake:
        made = router({Tier.HAIKU: [target("openai", fake)]}, RetryPolicy(max_retries=0))
        stage = Stage(MemoryBackend(1, ManualClock()), Asker, model=made.answer)  # type: ignore[arg-type]
        stage.pager = desk = PagerDesk(made.answer, JournaledAnswers(stage.backend.journals), SLOTS)
        crowd = [await stage.start(Asker, goal=f"slow question {number}") for number in range(CROWD)]
        for _ in crowd:
            await stage.committed()
        await stage.dispatcher.step()
        async with asyncio.timeout(100):
            while len(fake.calls) < CROWD:  # noqa: ASYNC110 - the fake counts in other threads
                await asyncio.sleep(0.05)
        assert await stage.adopt() is None, "all sleep"
        assert (desk.under_way, desk.load.waiting) == (CROWD, 0)
        hasty = await stage.start(Asker, goal=HASTE)
        await stage.committed()
        assert (await stage.checkpoint(hasty)).result == "here"
        released.set()
        await stage.settle()
        await made.close()
        assert {(await stage.checkpoint(cid)).result for cid in crowd} == {"here"}
        spent = [(await stage.ledger(cid)).account("usd").spent for cid in (*crowd, hasty)]
        assert (sum(spent), len(fake.calls)) == (fake.billed_usd_micros, CROWD + 1)
        await stage.audit()
