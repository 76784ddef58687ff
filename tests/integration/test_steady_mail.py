"""A thousand ticks with steady mail: the prompt keeps to its limit, every mail is answered, most of it is cached."""

import random
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.field.manifest import estimate_tokens
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import CountingModel, Stage, result

TICKS = 1_000
LIMIT_TOKENS = 2_000
NEWS_EVERY = 25
HOUR_MS = 3_600_000
DICE = random.Random(3)


def abstract() -> str:
    """Long enough that twenty do not fit, and like no other."""
    return "Tremor of a volcano. " + " ".join(f"{DICE.randrange(10**7):x}" for _ in range(110))


class Answered(BaseModel):
    mails: list[int] = []


class Clerk(Behaviour[Answered]):
    """Answers each mail by what a model says of it."""

    name = "clerk"
    version = 1

    async def start(self, tick: Tick[Answered]) -> Closing:
        tick.subscribe("news.>", relevance=1.0)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Answered], message: Mail) -> Closing:
        said = await tick.think("Answer the mail.", about=f"mail number {message.body}", step="haiku")
        tick.state.mails.append(int(said))
        return Sleep.until_woken()


@dataclass
class Echo(CountingModel):
    """Answers with the number of the mail that it was asked about; it reads the last words of a prompt only."""

    before: str = ""
    stable: list[float] = field(default_factory=list)
    """Of each prompt, the share of its bytes that the prompt before it began with."""
    longest: int = 0
    """In tokens, by the estimate."""

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        last = request.messages[-1].content or ""
        text = "\n".join([request.system or "", *(message.content or "" for message in request.messages)])
        if self.before:
            self.stable.append(_shared(self.before, text) / len(text))
        self.before = text
        self.longest = max(self.longest, estimate_tokens(text))
        return result(request, last.rpartition("mail number ")[2].strip())


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@pytest.mark.slow
@pytest.mark.shows("7.6")
@pytest.mark.spec("03.7")
async def test_over_a_thousand_ticks_the_prompt_keeps_to_its_limit_and_every_mail_is_answered() -> None:
    model = Echo()
    stage = Stage(backend_over(empty_memory(clock=ManualClock())), Clerk, model=model)
    stage.faculties["context_tokens"] = LIMIT_TOKENS
    stage.around = stage.surroundings(Clerk)
    cid = await stage.start(Clerk, goal="Warn of volcanic eruptions by seismic tremor")
    await stage.settle()
    for number in range(TICKS):
        if number % NEWS_EVERY == 0:
            await stage.publish(
                "news.today", str(number), {"title": f"Volcanic tremor {number}", "abstract": abstract()}
            )
            await stage.advance(HOUR_MS)
        await verbs.send(stage.at, cid, number)
        await stage.settle()
    assert (await stage.state(cid))["mails"] == list(range(TICKS))
    assert LIMIT_TOKENS * 0.9 < model.longest <= LIMIT_TOKENS
    share = sum(model.stable) / len(model.stable)
    print(f"\n{TICKS} prompts, the longest of {model.longest} tokens; on average {share:.0%} as the prompt before it")
    assert share > 0.5
