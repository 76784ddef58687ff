"""What a provider may do wrong, over real wire formats: who is asked next, and what is paid."""

from dataclasses import replace

import pytest

from maestro.adapters.litellm import open_dispatch
from maestro.budget.vector import BudgetVector
from maestro.errors import (
    AnswerLost,
    AuthRefused,
    BadRequest,
    ContentPolicy,
    MalformedAnswer,
    ModelError,
    ProvidersExhausted,
    UnpricedModel,
)
from maestro.pager.dispatch import Message, StopReason
from maestro.pager.prices import charge_of
from maestro.pager.retries import RetryPolicy
from maestro.policy.gradient import Tier
from maestro.testing.provider import Cut, Drop, FakeProvider, Hang, Junk, Say, Status, Trickle
from tests.contract.dispatched import Backend, Verdict, asked, first, second, wire
from tests.contract.models import KEY, WIRES

__all__ = ["first", "second", "wire"]

pytestmark = pytest.mark.usefixtures("models_loaded")

# ------------------------------------------------------------ who is asked


@pytest.mark.parametrize(
    "fault", [Status(429), Status(500), Status(503), Status(529), Drop()], ids=["429", "500", "503", "529", "drop"]
)
async def test_a_recoverable_fault_goes_to_the_next_provider_and_costs_nothing(
    wire: Backend, first: FakeProvider, second: FakeProvider, fault: Status
):
    first.script(fault, fault)
    answer = await wire.chained(first, second).answer(asked(wire))
    assert (answer.content, answer.attempts) == ("from the second", 3)
    assert (len(first.calls), len(second.calls)) == (2, 1)
    assert answer.cost_usd_micros == first.billed_usd_micros + second.billed_usd_micros == second.billed_usd_micros


async def test_a_provider_that_does_not_listen_goes_to_the_next(wire: Backend, second: FakeProvider):
    with FakeProvider() as gone:
        chain = wire.chained(gone, second)
    assert (await chain.answer(asked(wire))).content == "from the second"


async def test_a_hanging_provider_goes_to_the_next_after_its_time(
    wire: Backend, first: FakeProvider, second: FakeProvider
):
    first.script(Hang(), Hang())
    patient = RetryPolicy(max_retries=0, attempt_timeout_ms=1_500)
    answer = await wire.chained(first, second, policy=patient).answer(asked(wire))
    assert (answer.content, len(first.calls)) == ("from the second", 1)


async def test_retry_after_of_the_provider_is_heard(wire: Backend, first: FakeProvider):
    first.script(Status(429, retry_after_s=120))
    with pytest.raises(ProvidersExhausted) as caught:
        await wire.dispatch.answer(asked(wire))
    assert caught.value.facts["retry_after_ms"] in range(100_000, 120_001)
    assert len(first.calls) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(401, "bad key"), AuthRefused),
        (Status(403, "not for you"), AuthRefused),
        (Status(400, "no such field"), BadRequest),
        (Status(404, "no such model"), BadRequest),
        (Status(422, "cannot"), BadRequest),
        (Status(400, "rejected by our safety system: content_policy", kind="content_policy_violation"), ContentPolicy),
        (Status(400, "Output blocked by content filtering policy"), ContentPolicy),
        (Say("", stop="content_filter"), ContentPolicy),
    ],
    ids=["401", "403", "400", "404", "422", "policy", "filter", "refusal"],
)
async def test_a_terminal_fault_surfaces_and_nobody_else_is_asked(
    wire: Backend, first: FakeProvider, second: FakeProvider, fault: Status, kind: type[ModelError]
):
    first.script(fault)
    with pytest.raises(kind) as caught:
        await wire.chained(first, second).answer(asked(wire))
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert charge_of(caught.value)["usd"] == first.billed_usd_micros


async def test_the_key_stands_in_no_error(wire: Backend, first: FakeProvider):
    first.script(Status(401, f"Incorrect API key provided: {KEY}"))
    with pytest.raises(AuthRefused) as caught:
        await wire.dispatch.answer(asked(wire))
    assert KEY not in f"{caught.value} {caught.value.facts}"


# ------------------------------------------------------------ what was paid for


@pytest.mark.parametrize(
    "fault", [Cut(), Trickle(every_s=0.2), Hang(after_headers=True)], ids=["cut", "trickle", "hang"]
)
async def test_an_answer_that_broke_off_is_charged_in_full_and_not_bought_again(
    wire: Backend, first: FakeProvider, second: FakeProvider, fault: Cut | Trickle | Hang
):
    first.script(fault)
    request = asked(wire, deadline_ms=1_500)
    with pytest.raises(AnswerLost) as caught:
        await wire.chained(first, second).answer(request)
    assert charge_of(caught.value) == request.price
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert first.billed_usd_micros <= request.price["usd"]


@pytest.mark.parametrize("junk", [b"\xff\xfe no JSON", b"", b"{}", b"[]", b'{"choices": [], "content": []}'])
async def test_an_answer_that_cannot_be_read_is_charged_and_not_bought_again(
    wire: Backend, first: FakeProvider, junk: bytes
):
    first.script(Junk(junk))
    request = asked(wire)
    with pytest.raises(MalformedAnswer) as caught:
        await wire.dispatch.answer(request)
    assert charge_of(caught.value) == request.price
    assert len(first.calls) == 1


USAGES: dict[str, list[dict[str, int]]] = {
    "openai": [
        {},
        {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": -2},
        {"prompt_tokens": 10**12, "completion_tokens": 1, "total_tokens": 10**12},
    ],
    "anthropic": [
        {"input_tokens": 0, "output_tokens": 0},
        {"input_tokens": -5, "output_tokens": 3},
        {"input_tokens": 10**12, "output_tokens": 1},
    ],
}
USAGES["azure_ai"] = USAGES["bedrock"] = USAGES["anthropic"]


@pytest.mark.parametrize("place", [0, 1, 2], ids=["missing", "negative", "absurd"])
async def test_usage_not_to_be_believed_is_charged_as_the_reserved_maximum(
    wire: Backend, first: FakeProvider, place: int
):
    first.script(Say("fine", usage=USAGES[wire.wire][place]))
    request = asked(wire)
    answer = await wire.dispatch.answer(request)
    assert (answer.content, answer.charge, answer.estimated) == ("fine", request.price, True)


async def test_a_bill_above_the_reservation_is_shown_for_this_one_call(wire: Backend, first: FakeProvider):
    first.script(Say("dear", input_tokens=900, output_tokens=900))
    request = asked(wire)
    answer = await wire.dispatch.answer(request)
    assert answer.cost_usd_micros == first.billed_usd_micros > request.price["usd"]
    assert not answer.estimated


async def test_an_empty_answer_is_a_typed_failure_with_its_price(wire: Backend, first: FakeProvider):
    first.script(Say(""))
    with pytest.raises(MalformedAnswer, match="empty") as caught:
        await wire.dispatch.answer(asked(wire))
    assert charge_of(caught.value)["usd"] == first.billed_usd_micros
    assert len(first.calls) == 1


async def test_a_stop_reason_that_nobody_knows_is_no_failure(wire: Backend, first: FakeProvider):
    first.script(Say("fine", stop="because"))
    assert (await wire.dispatch.answer(asked(wire))).content == "fine"


async def test_an_answer_of_megabytes_is_cut(wire: Backend, first: FakeProvider):
    first.script(Say("again " * 1_000_000))
    answer = await wire.dispatch.answer(asked(wire))
    assert (len(answer.content), answer.stop_reason) == (1_000_000, StopReason.LENGTH)


# ------------------------------------------------------------ by schema


GOOD = '{"relevant": true, "score": 0.5, "why": "so"}'


@pytest.mark.parametrize("bad", ["I cannot say", "{'relevant': True}", '{"relevant": "perhaps"}', '{"relevant": true,'])
async def test_an_answer_that_does_not_fit_is_repaired_once_and_both_are_paid(
    wire: Backend, first: FakeProvider, bad: str
):
    first.script(Say(bad, input_tokens=50), Say(GOOD, input_tokens=70))
    answer = await wire.dispatch.answer(
        asked(wire, answer_schema=Verdict.model_json_schema(), price=BudgetVector({"usd": 9_000, "tokens": 9_000}))
    )
    assert Verdict.model_validate_json(answer.content).why == "so"
    assert answer.cost_usd_micros == first.billed_usd_micros
    assert answer.usage.executor_input_tokens == 120
    assert len(first.calls) == 2


async def test_a_second_answer_that_does_not_fit_is_a_typed_failure(wire: Backend, first: FakeProvider):
    first.script(Say("no"), Say("still no"))
    price = BudgetVector({"usd": 9_000, "tokens": 9_000})
    with pytest.raises(MalformedAnswer, match="no JSON object") as caught:
        await wire.dispatch.answer(asked(wire, answer_schema=Verdict.model_json_schema(), price=price))
    assert charge_of(caught.value)["usd"] == first.billed_usd_micros
    assert len(first.calls) == 2


async def test_without_money_for_a_repair_there_is_none(wire: Backend, first: FakeProvider):
    first.script(Say("no", input_tokens=1_000, output_tokens=200))
    with pytest.raises(MalformedAnswer):
        await wire.dispatch.answer(asked(wire, answer_schema=Verdict.model_json_schema()))
    assert len(first.calls) == 1


# ------------------------------------------------------------ prices


async def test_a_target_that_no_list_knows_is_charged_conservatively(wire: Backend, first: FakeProvider):
    dispatch = open_dispatch(
        {Tier.HAIKU: (replace(wire.target(first), price=None, model=f"{WIRES[wire.wire][0]}-that-nobody-knows"),)}
    )
    assert dispatch.prices.targets(Tier.HAIKU)[0].price.source == "conservative"
    answer = await dispatch.answer(asked(replace(wire, dispatch=dispatch)))
    assert answer.cost_usd_micros == 10 * 15 + 5 * 75


async def test_a_tier_that_is_not_set_is_refused(wire: Backend):
    with pytest.raises(UnpricedModel, match="no target is set"):
        await wire.dispatch.call("opus", [Message(role="user", content="x")], None, BudgetVector({}), "sync")


async def test_an_unhealthy_target_is_named(wire: Backend, first: FakeProvider):
    first.script(Status(500))
    ((name, healthy),) = (await wire.dispatch.health_check()).items()
    assert name.startswith(f"{WIRES[wire.wire][0]} at 127.0.0.1:")
    assert not healthy
