"""litellm's list as our prices; a hole in the list is never a free call."""

import subprocess
import sys
from pathlib import Path

import pytest

import maestro.adapters.litellm  # noqa: F401 - sets what litellm needs before it is imported
from maestro.adapters.litellm import UNKNOWN_PRICE
from maestro.adapters.litellm.dispatch import UnusablePrice, listed_price, price_table
from maestro.pager.prices import Price
from maestro.pager.targets import Target, tier_chains
from maestro.policy.gradient import Tier


def test_the_list_prices_of_the_three_default_models_are_those_of_the_specification():
    chains = {
        Tier.OPUS: (Target("anthropic/claude-opus-4-6"),),
        Tier.SONNET: (Target("anthropic/claude-sonnet-4-6"),),
        Tier.HAIKU: (Target("anthropic/claude-haiku-4-5"),),
    }
    prices = price_table(chains, UNKNOWN_PRICE)
    found = {
        tier: (p.input_micros_per_mtok, p.output_micros_per_mtok)
        for tier in Tier
        for p in [prices.targets(tier)[0].price]
    }
    assert found == {
        Tier.OPUS: (5_000_000, 25_000_000),
        Tier.SONNET: (3_000_000, 15_000_000),
        Tier.HAIKU: (1_000_000, 5_000_000),
    }
    assert prices.targets(Tier.OPUS)[0].price.cache_read_micros_per_mtok == 500_000


def test_the_rehearsal_tiers_cost_what_the_real_ones_do():
    prices = price_table(tier_chains({}), UNKNOWN_PRICE)
    assert prices.expected()[Tier.SONNET].output_micros == 15_000_000
    assert not prices.refused


@pytest.mark.shows("6.8")
@pytest.mark.parametrize("cost", [0, 0.0, -1e-6, float("nan"), "free", None])
def test_a_price_that_is_not_above_zero_refuses_the_tier(cost: object):
    row = {"input_cost_per_token": cost, "output_cost_per_token": 1e-6}
    with pytest.raises(UnusablePrice, match="not above 0"):
        listed_price(row, "x/y")


@pytest.mark.shows("6.8")
def test_one_free_target_refuses_its_whole_tier_and_no_other():
    import litellm  # noqa: PLC0415 - the list is patched for one row, in this process

    litellm.model_cost["planted/free"] = {"input_cost_per_token": 0, "output_cost_per_token": 0}
    try:
        chains = {
            Tier.OPUS: (Target("rehearsal/opus"), Target("planted/free")),
            Tier.HAIKU: (Target("rehearsal/haiku"),),
        }
        prices = price_table(chains, UNKNOWN_PRICE)
    finally:
        del litellm.model_cost["planted/free"]
    assert prices.refused == {Tier.OPUS: "planted/free is listed with a price that is not above 0"}
    assert list(prices.tiers) == [Tier.HAIKU]


def test_where_long_contexts_cost_more_that_price_is_taken():
    row = {"input_cost_per_token": 3e-6, "input_cost_per_token_above_200k_tokens": 6e-6, "output_cost_per_token": 15e-6}
    assert listed_price(row, "x/y") == Price(input_micros_per_mtok=6_000_000, output_micros_per_mtok=15_000_000)


@pytest.mark.shows("6.8")
def test_an_unknown_target_costs_the_conservative_price():
    prices = price_table({Tier.HAIKU: (Target("openai/nobody-knows"),)}, UNKNOWN_PRICE)
    assert prices.targets(Tier.HAIKU)[0].price.source == "conservative"


def test_importing_the_adapter_package_does_not_load_litellm():
    code = "import maestro.adapters.litellm, sys; print('litellm' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3], check=True
    )
    assert found.stdout.strip() == "False"
