"""Advice inside a call, over each wire format: one question, a digest, two accounts."""

from collections.abc import Iterator

import pytest

from maestro.budget.vector import BudgetVector
from maestro.errors import ProvidersExhausted
from maestro.pager.advisor import CONSULT, LEAST_DIGEST_BYTES
from maestro.pager.dispatch import Message
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price, charge_of
from maestro.policy.gradient import Step, Tier
from maestro.testing.provider import Act, Cut, FakeProvider, Hang, Say, Status
from tests.contract.models import WIRES, asking, router, target

pytestmark = pytest.mark.usefixtures("models_loaded")

OPUS_PRICE = Price(input_micros_per_mtok=5_000_000, output_micros_per_mtok=25_000_000, source="override")
ASKS = Say("", 40, 10, stop="tool_calls", tool=(CONSULT.name, '{"question": "is it about robots?"}'))
LONG = (Message(role="user", content="a tale of bread. " * 2_000 + "The last word is robots."),)


@pytest.fixture
def executor() -> Iterator[FakeProvider]:
    with FakeProvider(Say("it is", 60, 20)) as fake:
        yield fake


@pytest.fixture
def opus() -> Iterator[FakeProvider]:
    with FakeProvider(Say("yes, judge by the method", 30, 7), 5_000_000, 25_000_000) as fake:
        yield fake


@pytest.fixture(params=list(WIRES))
def advised(request: pytest.FixtureRequest, executor: FakeProvider, opus: FakeProvider) -> FailoverModelRouter:
    """The executor speaks the wire format of the parameter; opus is reached over another provider."""
    return router({Tier.HAIKU: [target(request.param, executor)], Tier.OPUS: [target("anthropic", opus, OPUS_PRICE)]})


@pytest.mark.spec("05.15")
async def test_a_question_is_answered_from_a_digest_and_each_account_is_its_own(
    advised: FailoverModelRouter, executor: FakeProvider, opus: FakeProvider
):
    executor.script(ASKS)
    request = asking(advised, Step.HAIKU_ADVISOR, messages=LONG)
    answer = await advised.answer(request)
    assert (answer.content, answer.advisor_consulted, answer.step, answer.attempts) == (
        "it is",
        True,
        "haiku+advisor",
        3,
    )
    usage = answer.usage
    assert (usage.executor_input_tokens, usage.executor_output_tokens) == (100, 30)
    assert (usage.advisor_input_tokens, usage.advisor_output_tokens) == (30, 7)
    assert answer.cost_usd_micros == executor.billed_usd_micros + opus.billed_usd_micros
    assert answer.charge == BudgetVector(
        {"usd": answer.cost_usd_micros, "tokens": 167, "cheap_model_calls": 1, "expensive_model_calls": 1}
    )
    assert request.price.covers(answer.charge)
    (seen,) = opus.calls
    assert "is it about robots?" in str(seen.body)
    assert "The last word is robots." in str(seen.body)
    assert len(str(seen.body["messages"])) < LEAST_DIGEST_BYTES + 1_000
    first, second = executor.calls
    assert CONSULT.name in str(first.body)
    assert "yes, judge by the method" in str(second.body)
    assert CONSULT.name not in str(second.body)


async def test_who_does_not_ask_costs_no_advisor(
    advised: FailoverModelRouter, executor: FakeProvider, opus: FakeProvider
):
    answer = await advised.answer(asking(advised, Step.HAIKU_ADVISOR))
    assert (answer.content, answer.advisor_consulted, len(executor.calls), opus.calls) == ("it is", False, 1, [])
    assert "expensive_model_calls" not in answer.charge
    assert answer.usage.advisor_input_tokens == 0


@pytest.mark.spec("05.15")
@pytest.mark.parametrize("fault", [Status(500), Status(401), Cut(), Say("")], ids=["500", "401", "cut", "empty"])
async def test_an_advisor_that_fails_stops_nobody_and_what_it_billed_is_charged(
    advised: FailoverModelRouter, executor: FakeProvider, opus: FakeProvider, fault: Act
):
    executor.script(ASKS)
    opus.script(fault, fault)
    request = asking(advised, Step.HAIKU_ADVISOR)
    answer = await advised.answer(request)
    assert (answer.content, answer.advisor_consulted) == ("it is", False)
    assert "decide by yourself" in str(executor.calls[1].body)
    assert executor.billed_usd_micros + opus.billed_usd_micros <= answer.cost_usd_micros <= request.price["usd"]
    assert answer.usage.advisor_input_tokens == 0


async def test_what_was_paid_before_the_second_answer_failed_is_charged(
    advised: FailoverModelRouter, executor: FakeProvider, opus: FakeProvider
):
    executor.script(ASKS, Status(500), Status(500))
    with pytest.raises(ProvidersExhausted) as caught:
        await advised.answer(asking(advised, Step.HAIKU_ADVISOR))
    assert charge_of(caught.value)["usd"] == executor.billed_usd_micros + opus.billed_usd_micros > 0


async def test_an_advisor_that_hangs_leaves_the_executor_its_time(
    executor: FakeProvider, opus: FakeProvider, advised: FailoverModelRouter
):
    executor.script(ASKS)
    opus.script(Hang())
    answer = await advised.answer(asking(advised, Step.HAIKU_ADVISOR, deadline_ms=3_000))
    assert (answer.content, answer.advisor_consulted, len(opus.calls)) == ("it is", False, 1)


@pytest.mark.spec("05.15")
async def test_advice_for_an_executor_on_bedrock_comes_from_the_direct_provider_first(
    executor: FakeProvider, opus: FakeProvider
):
    made = router(
        {
            Tier.HAIKU: [target("bedrock", executor)],
            Tier.OPUS: [target("bedrock", executor, OPUS_PRICE), target("anthropic", opus, OPUS_PRICE)],
        }
    )
    executor.script(ASKS)
    answer = await made.answer(asking(made, Step.HAIKU_ADVISOR))
    assert (answer.advisor_consulted, answer.provider) == (True, "bedrock")
    assert (len(executor.calls), len(opus.calls)) == (2, 1)


async def test_without_an_advisor_switched_on_or_priced_the_executor_answers_alone(
    executor: FakeProvider, opus: FakeProvider
):
    haiku, sage = [target("openai", executor)], [target("anthropic", opus, OPUS_PRICE)]
    for made in (router({Tier.HAIKU: haiku}), router({Tier.HAIKU: haiku, Tier.OPUS: sage}, advises=False)):
        answer = await made.answer(asking(made, Step.HAIKU_ADVISOR))
        assert (answer.content, answer.advisor_consulted) == ("it is", False)
        assert CONSULT.name not in str(executor.calls[-1].body)
        assert asking(made, Step.HAIKU_ADVISOR).price == asking(made, Step.HAIKU).price, "nobody pays for none"
    assert opus.calls == []
