"""What a downshift saves, and what it keeps: one scripted run at list prices, from what the ledgers settled.

The script: ten questions of 10,000 tokens, answered in 1,000, with a known truth. What each tier knows is planted; what
it does not know it answers wrongly, unless it may consult an advisor: then it does, which makes it read its prompt
twice, as the wire format has it, and the advisor a digest. Each tier has its price of the list (5/25, 3/15 and 1/5 USD
per million tokens). So the costs are measured, at that rate of consulting; of quality it is measured what advice keeps
on its way into an answer. How good models are, nobody measures here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.pager.advisor import CONSULT
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price
from maestro.policy.gradient import Step, Tier
from maestro.policy.question import PolicyConfig
from maestro.testing.provider import FakeProvider, Reply, Say
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.blocks import Keeper
from maestro.tick.context import Tick
from maestro.tick.mind import Faculties, ThinkingMind
from tests.contract.models import router, target
from tests.stage import PLENTY, Stage

pytestmark = pytest.mark.usefixtures("models_loaded")

LIST = {Tier.OPUS: (5_000_000, 25_000_000), Tier.SONNET: (3_000_000, 15_000_000), Tier.HAIKU: (1_000_000, 5_000_000)}
QUESTIONS = range(10)
TRUTH = {number: "yes" if number % 3 else "no" for number in QUESTIONS}
KNOWN = {Tier.OPUS: set(QUESTIONS) - {7}, Tier.SONNET: set(range(7)), Tier.HAIKU: set(range(4))}
ORDER = ("opus", "sonnet+advisor", "sonnet", "haiku+advisor", "haiku")
_QUESTION, _ADVICE = re.compile(r"question (\d)\?"), re.compile(r"I say (yes|no)")


@dataclass(frozen=True, slots=True)
class Mind:
    """What a model of a tier says to a request, by what it was planted to know and what it is told."""

    tier: Tier

    def __call__(self, body: dict[str, Any]) -> Say:
        number = int(_QUESTION.findall(json.dumps(body))[-1])
        advice = _ADVICE.findall(json.dumps(body["messages"][-1]))
        if advice:
            return Say(f"I say {advice[-1]}", 10_000, 1_000)
        if number not in KNOWN[self.tier] and body.get("tools"):
            asks = CONSULT.name, json.dumps({"question": f"question {number}?"})
            return Say("", 10_000, 50, stop="tool_calls", tool=asks)
        known = (TRUTH[number] == "yes") == (number in KNOWN[self.tier])
        is_advice = self.tier is Tier.OPUS and "advis" in json.dumps(body).lower()
        return Say(f"I say {'yes' if known else 'no'}", *((1_000, 100) if is_advice else (10_000, 1_000)))


class Questioner(Behaviour[NoState]):
    """Asks its ten questions on the step that its goal names; ends with the answers."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        answers: list[JsonValue] = [
            str(await tick.think(f"question {number}?", step=tick.goal.goal)) for number in QUESTIONS
        ]
        return Finish(result=answers)


@pytest.fixture
def fakes() -> Iterator[dict[Tier, FakeProvider]]:
    made = {tier: FakeProvider(Reply(Mind(tier)), *prices) for tier, prices in LIST.items()}
    yield made
    for fake in made.values():
        fake.close()


def priced(tier: Tier) -> Price:
    asked, answered = LIST[tier]
    return Price(input_micros_per_mtok=asked, output_micros_per_mtok=answered, source="override")


def stage_over(made: FailoverModelRouter) -> Stage:
    """A stage whose ticks ask that router, an advisor allowed."""
    stage = Stage(MemoryBackend(1, ManualClock()), Questioner, model=made.answer)  # type: ignore[arg-type]
    config, keeper = PolicyConfig(advisor_enabled=True), Keeper(stage.backend.blocks)
    faculties = Faculties(stage.backend.shelf, stage, made.prices, config, keeper)
    stage.around = replace(stage.around, make_mind=lambda *given: ThinkingMind(faculties, *given))
    return stage


@pytest.mark.spec("05.16")
@pytest.mark.shows("6.7")
async def test_what_each_step_costs_and_keeps_over_a_judged_run_is_told_from_settled_charges(
    fakes: dict[Tier, FakeProvider], capsys: pytest.CaptureFixture[str]
) -> None:
    made = router({tier: [target("anthropic", fake, priced(tier))] for tier, fake in fakes.items()})
    stage = stage_over(made)
    spent: dict[str, int] = {}
    right: dict[str, set[int]] = {}
    for step in ORDER:
        billed = sum(fake.billed_usd_micros for fake in fakes.values())
        cid = await stage.start(Questioner, goal=step, budget=PLENTY)
        await stage.settle()
        spent[step] = (await stage.ledger(cid)).account("usd").spent
        now = sum(fake.billed_usd_micros for fake in fakes.values())
        assert spent[step] == now - billed > 0, f"{step}: the ledger has what the providers billed"
        right[step] = judged((await stage.checkpoint(cid)).result)
    await stage.audit()

    for step, found in right.items():
        advised = KNOWN[Tier.OPUS] if Step(step).advisor else set()
        assert found == KNOWN[Step(step).tier] | advised, f"{step}: all that is known, and all that advice told"
    assert spent["opus"] > spent["sonnet+advisor"] > spent["sonnet"] > spent["haiku+advisor"] > spent["haiku"]
    with capsys.disabled():
        for step in ORDER:
            print(f"\n{step}: {spent[step]} micro-dollars for ten questions, {len(right[step])} right", end="")
        for one, other in (("sonnet+advisor", "opus"), ("haiku+advisor", "sonnet"), ("sonnet", "opus")):
            print(f"\n{one} costs {spent[one] / spent[other]:.2f} of {other}", end="")


def judged(answers: Any) -> set[int]:
    """Which questions were answered rightly."""
    assert len(answers) == len(QUESTIONS)
    return {number for number, answer in enumerate(answers) if answer == f"I say {TRUTH[number]}"}
