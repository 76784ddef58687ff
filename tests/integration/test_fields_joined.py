"""A fresh child has an empty field and its goal; of two that join, the heir has what both had, each thing once."""

from collections import Counter
from functools import partial

import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.field.manifest import Manifest
from maestro.ids import ContinuationId
from maestro.runtime import steer, verbs
from maestro.runtime.fieldview import field_rows
from maestro.tick.asking import read_prompt
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import Stage

GOAL = "Warn of volcanic eruptions by seismic tremor"


class Asked(BaseModel):
    subjects: list[str] = []


class Listener(Behaviour[Asked]):
    """Hears what it is told to, and thinks when it is told."""

    name = "listener"
    version = 1

    async def start(self, tick: Tick[Asked]) -> Closing:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Asked], message: Mail) -> Closing:
        match message.subject:
            case "hear":
                tick.subscribe(str(message.body), relevance=1.0)
            case "spawn":
                tick.spawn(Listener, goal=str(message.body), budget=tick.budget.share(0.2))
            case _:
                await tick.think("What now?", step="haiku")
        return Sleep.until_woken()


@pytest.fixture
def stage() -> Stage:
    return Stage(backend_over(empty_memory(clock=ManualClock())), Listener)


async def hearing(stage: Stage, *subjects: str) -> ContinuationId:
    cid = await stage.start(Listener, goal=GOAL)
    for subject in subjects:
        await say(stage, cid, "hear", subject)
    return cid


async def say(stage: Stage, cid: ContinuationId, subject: str, body: str = "") -> None:
    await verbs.send(stage.at, cid, body, subject=subject)
    await stage.settle()


async def titles(stage: Stage, cid: ContinuationId) -> Counter[str]:
    rows = await field_rows(stage.backend.shelf, cid, {}, 50, await stage.backend.clock.now_ms())
    return Counter(str(row["title"]) for row in rows)


@pytest.mark.spec("03.15")
async def test_who_inherits_a_field_has_what_both_had_and_each_thing_once(stage: Stage) -> None:
    mine, other = await hearing(stage, "both", "mine"), await hearing(stage, "both", "other")
    for subject in ("both", "mine", "other"):
        await stage.publish(subject, subject, {"title": f"Volcanic tremor at {subject}"})
    await stage.settle()
    before = await titles(stage, mine) | await titles(stage, other)
    assert len(before) == 3
    await steer.merge(stage.at, [other], mine)
    await stage.settle()
    assert await titles(stage, mine) == before


@pytest.mark.spec("03.15")
async def test_a_fresh_child_has_its_goal_and_an_empty_field(stage: Stage) -> None:
    parent = await hearing(stage, "both")
    await stage.publish("both", "both", {"title": "Volcanic tremor here"})
    await stage.settle()
    before = set(await stage.all())
    await say(stage, parent, "spawn", "Find villages that tremor reached")
    (child,) = set(await stage.all()) - before
    assert (len(await titles(stage, parent)), len(await titles(stage, child))) == (1, 0)
    await say(stage, child, "think")
    note = (await verbs.records(stage.at, child))[-1].effects[0]
    prompt = await read_prompt(note.asked, partial(stage.backend.blocks.get, child))
    assert Manifest.model_validate(prompt.manifest).lines == ()
    assert "Find villages that tremor reached" in prompt.system
