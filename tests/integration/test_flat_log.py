"""The log grows with ticks, never with prompts: what stands in a thousand prompts is stored once."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random
from statistics import fmean, linear_regression

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.field.manifest import estimate_tokens
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.policy.question import PolicyConfig
from maestro.runtime import verbs
from maestro.tick.asking import read_prompt
from maestro.tick.behaviour import Behaviour
from maestro.tick.blocks import Keeper
from maestro.tick.context import Tick
from maestro.tick.mind import Faculties, ThinkingMind
from tests.stage import PRICES, CountingModel, Stage, result

TICKS = 1_000
LOOK_EVERY = 10
BETWEEN_MS = 4_000_000  # two ticks: what is new outweighs what is old, and one entry leaves for each that comes
ENTRIES = 200
PROMPT_TOKENS = 200_000
WORDS = "the budget of a sleeper is the same to the bit after three weeks of sleep and one event "


class Musing(BaseModel):
    thoughts: int = 0


class Muser(Behaviour[Musing]):
    """Thinks one thought about its whole field at each message."""

    name = "muser"
    version = 1

    async def start(self, tick: Tick[Musing]) -> Closing:
        tick.subscribe("news.>", relevance=1.0)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Musing], message: Mail) -> Closing:
        await tick.think("What follows?", step="haiku")
        tick.state = Musing(thoughts=tick.state.thoughts + 1)
        return Sleep.until_woken()


class Recorder(CountingModel):
    """Answers, and remembers what it was asked last."""

    last: ModelRequest

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.last = request
        return result(request, f"answer {self.asked}")


@pytest.mark.slow
@pytest.mark.shows("3.5")
async def test_a_thousand_ticks_with_a_prompt_of_200_000_tokens_take_the_same_room_each() -> None:
    memory = empty_memory(clock=ManualClock())
    (partition,) = memory.partitions
    model = Recorder()
    stage = Stage(backend_over(memory), Muser, model=model)
    faculties = Faculties(
        stage.backend.shelf,
        stage,
        PRICES,
        PolicyConfig(advisor_enabled=False),
        Keeper(stage.backend.blocks),
        field_entries=ENTRIES,
        context_tokens=2 * PROMPT_TOKENS,
    )
    stage.around = replace(stage.around, make_mind=partial(ThinkingMind, faculties))
    cid = await stage.start(
        Muser, goal="How does sleep bear on the budget of a sleeper?", budget=BudgetVector({"usd": 10**12})
    )
    await stage.settle()
    for number in range(ENTRIES):
        await stage.advance(BETWEEN_MS)
        await stage.publish("news.today", f"paper-{number}", paper(number))
        await stage.settle()

    stored: list[int] = []
    for tick in range(TICKS):
        await stage.advance(BETWEEN_MS)
        await stage.publish("news.today", f"later-{tick}", paper(ENTRIES + tick))
        await verbs.send(stage.at, cid, "go on")
        await stage.settle()
        if tick % LOOK_EVERY == 0:
            log = sum(len(record) for _, record in partition.rows[cid].log)
            stored.append(log + sum(len(body) for body, _ in partition.blocks.values()))

    assert (await stage.state(cid))["thoughts"] == TICKS
    note = (await verbs.records(stage.at, cid))[-1].effects[0]
    assert estimate_tokens(str(model.last.messages)) > PROMPT_TOKENS
    prompt = await read_prompt(note.asked, partial(stage.backend.blocks.get, cid))
    assert (prompt.messages, prompt.system) == (model.last.messages, model.last.system)

    rise, r_squared = line_through(stored)
    slope = rise / LOOK_EVERY
    size = len(str(model.last.messages))
    print(f"\n{size:,} bytes of prompt, {slope:,.0f} bytes stored per tick, R2 = {r_squared:.6f}")
    assert r_squared > 0.99
    assert slope < size / 30


def paper(number: int) -> dict[str, JsonValue]:
    dice = Random(number)  # the same words in the same order would be near-duplicates, and read once
    said = (WORDS * 17).split() + [f"idea-{dice.randrange(10_000)}" for _ in range(200)]
    dice.shuffle(said)
    return {"title": f"Paper {number} on sleep", "abstract": f"{number}: {' '.join(said)} "}


def line_through(heights: Sequence[int]) -> tuple[float, float]:
    """Slope and R2 of the straight line that fits best."""
    places = range(len(heights))
    slope, offset = linear_regression(places, heights)
    mean = fmean(heights)
    rest = sum((height - offset - slope * place) ** 2 for place, height in zip(places, heights, strict=True))
    return slope, 1 - rest / sum((height - mean) ** 2 for height in heights)
