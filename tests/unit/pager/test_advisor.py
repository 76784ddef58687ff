"""Advice inside a call, without a wire: who is asked what, and how the accounts come together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from maestro.budget.vector import USD, BudgetVector
from maestro.errors import AnswerLost, ModelError, ProvidersExhausted, StoreUnavailable
from maestro.pager.advisor import CONSULT, MAX_QUESTION_BYTES, Advised, digest_bytes, question_in, reserved
from maestro.pager.dispatch import Message, ModelCallResult, StopReason, ToolCall
from maestro.pager.prices import Price, PricedTarget, PriceTable, charge_of
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from tests.unit.pager.scripted import request, result

HAIKU = Price(input_micros_per_mtok=1_000_000, output_micros_per_mtok=5_000_000)
OPUS = Price(input_micros_per_mtok=5_000_000, output_micros_per_mtok=25_000_000)
PRICES = PriceTable(
    tiers={
        Tier.HAIKU: (PricedTarget(target="small", price=HAIKU),),
        Tier.OPUS: (PricedTarget(target="large", price=OPUS),),
    }
)
LONG = (Message(role="user", content="a tale of bread. " * 3_000 + "The last word is robots."),)
OWN = BudgetVector({"usd": 100, "tokens": 40, "cheap_model_calls": 1})
ADVICE = BudgetVector({"usd": 900, "tokens": 60, "expensive_model_calls": 1})


@dataclass
class Model:
    """Answers, or raises, in the order of its script."""

    script: list[ModelCallResult | Exception]
    asked: list[ModelRequest] = field(default_factory=list)

    async def __call__(self, asked: ModelRequest) -> ModelCallResult:
        self.asked.append(asked)
        act = self.script.pop(0)
        if isinstance(act, Exception):
            raise act
        return act


def wanted(messages: Sequence[Message] = LONG) -> ModelRequest:
    return request(step=Step.HAIKU_ADVISOR, use_advisor=True, messages=messages, system="Goal: robots")


def asks(question: str = "is it?") -> ModelCallResult:
    call = ToolCall(id="1", name=CONSULT.name, arguments={"question": question})
    first = result(wanted(), "let me ask", OWN)
    return first.model_copy(update={"tool_calls": (call,), "stop_reason": StopReason.TOOL_CALLS})


def advised(executor: Model, advisor: Model) -> Advised:
    return Advised(PRICES, executor, advisor, lambda: 0)


@pytest.mark.spec("05.15")
async def test_three_requests_become_one_result_with_two_accounts():
    executor, advisor = Model([asks(), result(wanted(), "it is", OWN)]), Model([result(wanted(), "yes", ADVICE)])
    answer = await advised(executor, advisor).answer(wanted())
    assert (answer.content, answer.advisor_consulted, answer.attempts) == ("it is", True, 3)
    assert (answer.usage.executor_input_tokens, answer.usage.advisor_input_tokens) == (20, 10)
    assert answer.charge == BudgetVector(
        {"usd": 1_100, "tokens": 140, "cheap_model_calls": 1, "expensive_model_calls": 1}
    )
    assert answer.cost_usd_micros == 1_100


@pytest.mark.spec("05.16")
async def test_the_advisor_reads_a_digest_with_the_question_the_goal_and_the_end_of_the_prompt():
    executor, advisor = Model([asks(), result(wanted())]), Model([result(wanted(), "yes", ADVICE)])
    await advised(executor, advisor).answer(wanted())
    (seen,) = advisor.asked
    text = seen.messages[0].content
    assert all(part in text for part in ("is it?", "Goal: robots", "The last word is robots."))
    assert len(text.encode()) <= digest_bytes(wanted().input_bound_tokens) + 64
    assert len(text.encode()) * 9 < len(LONG[0].content.encode())
    assert (seen.tier, seen.use_advisor, seen.tools) == (Tier.OPUS, False, ())


async def test_the_tool_is_offered_once_and_the_advice_comes_as_the_last_words():
    executor, advisor = Model([asks(), result(wanted())]), Model([result(wanted(), "judge the method", ADVICE)])
    await advised(executor, advisor).answer(wanted())
    first, second = executor.asked
    assert ([tool.name for tool in first.tools], second.tools) == ([CONSULT.name], ())
    assert "judge the method" in second.messages[-1].content
    assert second.messages[:-1] == LONG
    assert first.call_id == second.call_id


@pytest.mark.parametrize("messages", [LONG, (Message(role="user", content="short"),)], ids=["long", "short"])
async def test_the_reservation_covers_all_three_requests(messages: tuple[Message, ...]):
    executor, advisor = Model([asks("?" * 5_000), result(wanted())]), Model([result(wanted(), "x" * 99_999, ADVICE)])
    asked = wanted(messages)
    await advised(executor, advisor).answer(asked)
    whole = reserved(PRICES, Step.HAIKU_ADVISOR, asked.input_bound_tokens, asked.max_output_tokens)
    for sent in (*executor.asked, *advisor.asked):
        most = PRICES.maximum(sent.tier, sent.input_bound_tokens, sent.max_output_tokens)
        assert sent.price.covers(most)
    assert whole[USD] == sum(sent.price[USD] for sent in (*executor.asked, *advisor.asked))
    assert whole["expensive_model_calls"] == whole["cheap_model_calls"] == 1


@pytest.mark.spec("05.15")
@pytest.mark.parametrize(
    ("failure", "charged"),
    [
        (ProvidersExhausted("out"), 200),
        (StoreUnavailable("down"), 200),
        (AnswerLost("cut", charge={"usd": 700, "tokens": 9, "expensive_model_calls": 1}), 900),
    ],
    ids=["out", "store", "lost"],
)
async def test_an_advisor_that_fails_stops_nobody(failure: Exception, charged: int):
    executor, advisor = Model([asks(), result(wanted(), "it is", OWN)]), Model([failure])
    answer = await advised(executor, advisor).answer(wanted())
    assert (answer.content, answer.advisor_consulted, answer.cost_usd_micros) == ("it is", False, charged)
    assert "decide by yourself" in executor.asked[1].messages[-1].content


@pytest.mark.parametrize("failure", [ProvidersExhausted("out"), StoreUnavailable("down")], ids=["out", "store"])
async def test_what_was_paid_before_a_failure_is_charged_with_it(failure: Exception):
    executor, advisor = Model([asks(), failure]), Model([result(wanted(), "yes", ADVICE)])
    with pytest.raises(ModelError, match=r"out|down") as caught:
        await advised(executor, advisor).answer(wanted())
    assert charge_of(caught.value)[USD] == 1_000


async def test_who_asks_nothing_is_done_and_who_wants_no_advisor_is_offered_none():
    executor, advisor = Model([result(wanted(), "done"), result(request(), "plain")]), Model([])
    assert (await advised(executor, advisor).answer(wanted())).content == "done"
    assert (await advised(executor, advisor).answer(request())).content == "plain"
    assert ([len(sent.tools) for sent in executor.asked], advisor.asked) == ([1, 0], [])


async def test_without_a_priced_opus_nobody_is_offered_advice_and_none_is_reserved():
    alone = PriceTable(tiers={Tier.HAIKU: PRICES.tiers[Tier.HAIKU]}, refused={Tier.OPUS: "no price"})
    executor = Model([result(wanted(), "alone")])
    assert (await Advised(alone, executor, Model([]), lambda: 0).answer(wanted())).content == "alone"
    assert executor.asked[0].tools == ()
    assert reserved(alone, Step.HAIKU_ADVISOR, 1_000, 100) == reserved(alone, Step.HAIKU, 1_000, 100)


def test_a_question_is_cut():
    assert question_in(asks("é" * MAX_QUESTION_BYTES)) == "é" * (MAX_QUESTION_BYTES // 2)
    assert question_in(result(wanted())) is None
