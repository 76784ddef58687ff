from dataclasses import replace

import pytest

from maestro.budget.ledger import Account
from maestro.budget.vector import BudgetVector
from maestro.policy.gradient import LADDER, Step, Tier
from maestro.policy.price import AdvisorTerms, CallSize, Cost, cost, lacking
from tests.unit.policy.questions import LIST_PRICES

SIZE = CallSize(input_tokens=100_000, output_tokens=4_000)


def micros(step: Step, size: CallSize = SIZE) -> int:
    return cost(step, size, LIST_PRICES, AdvisorTerms()).usd_micros


def test_plain_steps_cost_their_tokens() -> None:
    assert micros(Step.OPUS) == 100_000 * 5 + 4_000 * 25
    assert micros(Step.SONNET) == 100_000 * 3 + 4_000 * 15
    assert micros(Step.HAIKU) == 100_000 * 1 + 4_000 * 5


def test_an_advisor_adds_a_tenth_at_opus_prices() -> None:
    assert micros(Step.SONNET_ADVISOR) == micros(Step.SONNET) + 10_000 * 5 + 400 * 25
    assert micros(Step.HAIKU_ADVISOR) == micros(Step.HAIKU) + 10_000 * 5 + 400 * 25


def test_an_advisor_reads_at_least_a_thousand_tokens() -> None:
    small = CallSize(input_tokens=300, output_tokens=100)
    assert micros(Step.SONNET_ADVISOR, small) == 300 * 3 + 100 * 15 + 1_000 * 5 + 10 * 25


def test_at_list_prices_the_ratios_are_those_that_the_specification_computes() -> None:
    """sonnet+advisor = 0.60 + a of opus, haiku+advisor = 0.33 + 1.67 a of sonnet, with a = 0.10."""
    assert micros(Step.SONNET_ADVISOR) / micros(Step.OPUS) == pytest.approx(0.70)
    assert micros(Step.HAIKU_ADVISOR) / micros(Step.SONNET) == pytest.approx(0.50)


def test_only_the_tier_that_holds_the_prefix_reads_it_cheaply() -> None:
    warm = replace(SIZE, cached_prefix_tokens=90_000, warm_tier=Tier.OPUS)
    assert micros(Step.OPUS, warm) == 10_000 * 5 + 90_000 * 5 // 10 + 4_000 * 25
    assert micros(Step.SONNET, warm) == micros(Step.SONNET)


def test_a_prefix_is_never_longer_than_the_input() -> None:
    warm = CallSize(input_tokens=100, output_tokens=0, cached_prefix_tokens=10**9, warm_tier=Tier.HAIKU)
    assert micros(Step.HAIKU, warm) == 10


def test_a_part_of_a_micro_dollar_counts_as_a_whole_one() -> None:
    cheap = {tier: replace(price, input_micros=1) for tier, price in LIST_PRICES.items()}
    assert cost(Step.HAIKU, CallSize(1, 0), cheap, AdvisorTerms()).usd_micros == 1
    assert cost(Step.HAIKU, CallSize(0, 0), cheap, AdvisorTerms()).usd_micros == 0


def test_calls_are_counted_by_class_and_an_advisor_is_an_expensive_one() -> None:
    counted = {step: cost(step, SIZE, LIST_PRICES, AdvisorTerms()) for step in LADDER}
    assert [(c.cheap_calls, c.expensive_calls) for c in counted.values()] == [(0, 1), (0, 2), (0, 1), (1, 1), (1, 0)]


def test_tokens_are_those_of_executor_and_advisor() -> None:
    assert cost(Step.HAIKU, SIZE, LIST_PRICES, AdvisorTerms()).tokens == 104_000
    assert cost(Step.HAIKU_ADVISOR, SIZE, LIST_PRICES, AdvisorTerms()).tokens == 104_000 + 10_400


def test_a_cost_is_a_price_to_reserve() -> None:
    price = cost(Step.HAIKU, CallSize(1_000, 100), LIST_PRICES, AdvisorTerms()).vector()
    assert price == BudgetVector({"usd": 1_500, "cheap_model_calls": 1, "tokens": 1_100})


def test_every_account_on_the_path_must_pay() -> None:
    price = Cost(usd_micros=10, cheap_calls=1, expensive_calls=0, tokens=5)
    rich, poor = {"usd": Account(granted=10)}, {"usd": Account(granted=10, lent=1)}
    assert lacking(price, (rich, {})) is None
    assert lacking(price, (rich, poor)) == "usd"
    assert lacking(price, ({"tokens": Account(granted=4)},)) == "tokens"
    assert lacking(price, ({"expensive_model_calls": Account(granted=0)},)) is None
    assert lacking(Cost(0, 0, 0, 0), ({"usd": Account(granted=0, spent=5)},)) is None
