"""What a downshift saves, measured: one scripted run at list prices, step by step, from what the ledgers settled.

The script: ten questions of 10,000 tokens, answered in 1,000. An executor with an advisor consults it in three of ten,
which makes it read its prompt twice, as the wire format has it, and the advisor a digest. Each tier has its price of
the list (5/25, 3/15 and 1/5 USD per million tokens). How good the answers are, nobody measures here.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.pager.advisor import CONSULT
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price
from maestro.policy.gradient import Tier
from maestro.policy.question import PolicyConfig
from maestro.testing.provider import FakeProvider, Say
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.blocks import Keeper
from maestro.tick.context import Tick
from maestro.tick.mind import Faculties, ThinkingMind
from tests.contract.models import router, target
from tests.stage import PLENTY, Stage

pytestmark = pytest.mark.usefixtures("models_loaded")

LIST = {Tier.OPUS: (5_000_000, 25_000_000), Tier.SONNET: (3_000_000, 15_000_000), Tier.HAIKU: (1_000_000, 5_000_000)}
QUESTIONS, CONSULTED = 10, (2, 5, 8)
ANSWER = Say("it is so", 10_000, 1_000)
ASKS = Say("", 10_000, 50, stop="tool_calls", tool=(CONSULT.name, '{"question": "is it so?"}'))
ADVICE = Say("judge by the method", 1_000, 100)
STEPS = ("opus", "sonnet+advisor", "sonnet", "haiku+advisor", "haiku")


class Questioner(Behaviour[NoState]):
    """Asks its ten questions on the step that its goal names."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        for number in range(QUESTIONS):
            await tick.think(f"question {number}?", step=tick.goal.goal)
        return Finish()


@pytest.fixture
def fakes() -> Iterator[dict[Tier, FakeProvider]]:
    made = {tier: FakeProvider(ANSWER, *prices) for tier, prices in LIST.items()}
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


@pytest.mark.shows("6.7")
async def test_what_each_step_costs_over_a_scripted_run_is_told_from_settled_charges(
    fakes: dict[Tier, FakeProvider], capsys: pytest.CaptureFixture[str]
) -> None:
    made = router({tier: [target("anthropic", fake, priced(tier))] for tier, fake in fakes.items()})
    stage, spent = stage_over(made), {}
    for step in STEPS:
        executor = fakes[Tier(step.partition("+")[0])]
        billed = sum(fake.billed_usd_micros for fake in fakes.values())
        if step.endswith("advisor"):
            asked = [[ASKS, ANSWER] if number in CONSULTED else [ANSWER] for number in range(QUESTIONS)]
            executor.script(*(act for acts in asked for act in acts))
            fakes[Tier.OPUS].script(*[ADVICE] * len(CONSULTED))
        cid = await stage.start(Questioner, goal=step, budget=PLENTY)
        await stage.settle()
        spent[step] = (await stage.ledger(cid)).account("usd").spent
        now = sum(fake.billed_usd_micros for fake in fakes.values())
        assert spent[step] == now - billed, f"{step}: the ledger has what the providers billed"
    await stage.audit()
    ratios = {(one, other): spent[one] / spent[other] for one, other in zip(STEPS[1:4], STEPS[:3], strict=True)}
    ratios["sonnet", "opus"] = spent["sonnet"] / spent["opus"]
    ratios["haiku+advisor", "sonnet"] = spent["haiku+advisor"] / spent["sonnet"]
    with capsys.disabled():
        print(f"\nten questions, settled (micro-dollars): {spent}")
        for one, other in (("sonnet+advisor", "opus"), ("haiku+advisor", "sonnet"), ("sonnet", "opus")):
            print(f"{one} costs {ratios[one, other]:.2f} of {other}")
    assert spent["opus"] > spent["sonnet+advisor"] > spent["sonnet"] > spent["haiku+advisor"] > spent["haiku"]
