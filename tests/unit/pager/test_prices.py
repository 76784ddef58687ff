"""Price arithmetic: integers, rounded up, never less than what was billed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.errors import UnpricedModel
from maestro.pager.dispatch import Message, ModelUsage, Tool
from maestro.pager.prices import Price, PricedTarget, PriceTable, actual_price, bill, calls_resource, maximum_price
from maestro.pager.request import input_bound_tokens
from maestro.policy.gradient import Step, Tier
from tests.unit.pager.scripted import MAXIMUM, PRICE, request

OPUS = Price(input_micros_per_mtok=5_000_000, output_micros_per_mtok=25_000_000, cache_read_micros_per_mtok=500_000)
counts = st.integers(0, 200_000)


def targets(*prices: Price) -> list[PricedTarget]:
    return [PricedTarget(target=f"p{place}", price=price) for place, price in enumerate(prices)]


def test_the_maximum_is_that_of_the_dearest_target_of_the_chain():
    most = maximum_price(1_000, 200, Tier.HAIKU, targets(PRICE, OPUS))
    assert most == BudgetVector({"usd": 10_000, "tokens": 1_200, "cheap_model_calls": 1})


@pytest.mark.parametrize(("tier", "resource"), [("haiku", "cheap"), ("sonnet", "expensive"), ("opus", "expensive")])
def test_haiku_counts_as_a_cheap_call_and_the_others_as_expensive_ones(tier: str, resource: str):
    assert calls_resource(Tier(tier)) == f"{resource}_model_calls"


def test_a_part_of_a_micro_dollar_counts_as_a_whole_one():
    cheap = Price(input_micros_per_mtok=1, output_micros_per_mtok=1)
    assert actual_price(ModelUsage(executor_input_tokens=1), cheap) == 1
    assert maximum_price(1, 1, Tier.HAIKU, targets(cheap))["usd"] == 1


def test_cached_input_has_its_own_price():
    price = OPUS.model_copy(update={"cache_creation_micros_per_mtok": 6_250_000})
    usage = ModelUsage(
        executor_input_tokens=1_000, executor_output_tokens=100, cache_read_tokens=600, cache_creation_tokens=300
    )
    assert actual_price(usage, price) == 100 * 5 + 600 // 2 + 300 * 6.25 + 100 * 25
    without = Price(input_micros_per_mtok=5_000_000, output_micros_per_mtok=25_000_000)
    assert actual_price(usage, without) == 1_000 * 5 + 100 * 25


@given(bound=counts, most_out=counts, read=counts, created=counts, used_in=counts, used_out=counts)
def test_what_stays_within_the_bounds_never_costs_more_than_the_maximum(
    bound, most_out, read, created, used_in, used_out
):
    price = OPUS.model_copy(update={"cache_creation_micros_per_mtok": 6_250_000})
    used_in = min(used_in, bound)
    read = min(read, used_in)
    usage = ModelUsage(
        executor_input_tokens=used_in,
        executor_output_tokens=min(used_out, most_out),
        cache_read_tokens=read,
        cache_creation_tokens=min(created, used_in - read),
    )
    assert actual_price(usage, price) <= maximum_price(bound, most_out, Tier.OPUS, targets(PRICE, price))["usd"]


def test_an_answer_is_charged_what_the_provider_counted():
    settled = bill(request(), ModelUsage(executor_input_tokens=100, executor_output_tokens=20), PRICE)
    assert settled.charge == BudgetVector({"usd": 200, "tokens": 120, "cheap_model_calls": 1})
    assert not settled.estimated


@pytest.mark.parametrize(
    "usage",
    [
        None,
        ModelUsage(),
        ModelUsage(executor_input_tokens=10**12, executor_output_tokens=1),
        ModelUsage(executor_input_tokens=10, executor_output_tokens=10**12),
        ModelUsage(executor_input_tokens=10, cache_read_tokens=10**12),
    ],
    ids=["missing", "none at all", "absurd input", "absurd output", "absurd cache"],
)
def test_figures_not_to_be_believed_are_charged_as_the_reserved_maximum(usage: ModelUsage | None):
    settled = bill(request(), usage, PRICE)
    assert (settled.charge, settled.estimated) == (MAXIMUM, True)


def test_a_provider_that_bills_more_than_was_reserved_is_believed_for_this_one_call():
    asked = request()
    settled = bill(asked, ModelUsage(executor_input_tokens=3 * asked.input_bound_tokens), PRICE)
    assert not settled.estimated
    assert settled.charge["tokens"] == 3 * asked.input_bound_tokens


def test_the_input_bound_counts_every_byte_that_is_sent():
    text = "héllo ✓" * 10
    messages = (Message(role="user", content=text),)
    plain = input_bound_tokens(messages)
    assert plain > len(text.encode())
    assert input_bound_tokens(messages, "system") == plain + len("system")
    tool = Tool(name="search", description="d" * 500)
    assert input_bound_tokens(messages, None, (tool,)) > plain + 500
    schema: dict[str, JsonValue] = {"type": "object", "description": "d" * 500}
    assert input_bound_tokens(messages, None, (), schema) > plain + 1_000


def test_a_tier_without_price_is_refused_and_the_text_names_the_setting():
    prices = PriceTable(tiers={Tier.HAIKU: tuple(targets(PRICE))}, refused={Tier.OPUS: "x costs nothing"})
    assert prices.maximum(Tier.HAIKU, 10, 10)["usd"] == 60
    with pytest.raises(UnpricedModel, match="x costs nothing"):
        prices.maximum(Tier.OPUS, 10, 10)
    with pytest.raises(UnpricedModel, match="MAESTRO_TIER_SONNET_PRICE"):
        prices.targets(Tier.SONNET)


@pytest.mark.parametrize("micros", [0, -1])
def test_a_price_of_zero_or_less_does_not_exist(micros: int):
    with pytest.raises(ValueError, match="greater than 0"):
        Price(input_micros_per_mtok=micros, output_micros_per_mtok=1)


def test_the_table_crosses_as_json_and_feeds_the_kernel():
    prices = PriceTable(tiers={Tier.OPUS: tuple(targets(OPUS, PRICE))})
    read = PriceTable.model_validate_json(prices.model_dump_json())
    assert read == prices
    expected = read.expected()[Step.OPUS.tier]
    assert (expected.input_micros, expected.output_micros, expected.cached_input_micros) == (
        5_000_000,
        25_000_000,
        500_000,
    )
