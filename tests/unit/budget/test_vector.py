from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from maestro.budget.vector import MAX_AMOUNT, Budget, BudgetVector, budget_vector, format_usd, usd_micros
from maestro.errors import InvalidInput


def test_a_budget_reads_as_people_write_it() -> None:
    budget = Budget(usd="1.50", expensive_model_calls=20)
    assert (budget["usd"], budget["expensive_model_calls"]) == (1_500_000, 20)


@pytest.mark.parametrize(
    ("written", "micros"),
    [("0", 0), ("1", 1_000_000), ("0.000001", 1), (2, 2_000_000), (Decimal("0.1"), 100_000), ("1e-3", 1_000)],
)
def test_dollars_become_exact_micro_dollars(written: str | int | Decimal, micros: int) -> None:
    assert usd_micros(written) == micros


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (0.5, "0.5 dollars is not an exact amount"),
        (True, "True dollars is not an exact amount"),
        ("ten", "'ten' is not an amount of dollars"),
        ("", "'' is not an amount of dollars"),
        ("NaN", "'NaN' dollars is not a whole number of micro-dollars"),
        ("Infinity", "'Infinity' dollars is not a whole number of micro-dollars"),
        ("0.0000001", "'0.0000001' dollars is not a whole number of micro-dollars"),
        ("-1", "-1000000 is no amount of usd"),
        ("1e300", "is no amount of usd"),
    ],
)
def test_what_is_no_exact_amount_of_dollars_is_refused(written: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        usd_micros(written)
    assert caught.value.field == "budget.usd"
    assert says in caught.value.message


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1, 1.0, "5", True, None])
def test_only_integers_in_range_are_amounts(amount: int) -> None:
    for make in (budget_vector, BudgetVector):
        with pytest.raises(InvalidInput) as caught:
            make({"tokens": amount})
        assert caught.value.field == "budget.tokens"


@pytest.mark.parametrize(
    "resource", ["", "eur", "tool.", "tool.A", "human.hugs", "usd ", "usd\n", "tool." + "x" * 41, 7]
)
def test_an_unknown_resource_is_refused(resource: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        BudgetVector({resource: 1})
    assert "unknown resource" in caught.value.message
    assert "tool.NAME" in str(caught.value)


def test_the_same_rules_hold_for_what_arrives_as_json() -> None:
    read = TypeAdapter(BudgetVector)
    assert read.validate_json('{"usd": 5}') == BudgetVector({"usd": 5})
    for wrong in ('{"usd": 5.0}', '{"usd": "5"}', '{"usd": true}'):
        with pytest.raises(InvalidInput):
            read.validate_json(wrong)
    with pytest.raises(ValidationError):
        read.validate_json("[5]")


def test_json_there_and_back_is_the_same_vector() -> None:
    vector = Budget(usd="0.25", tokens=7, **{"tool.search": 3})
    assert BudgetVector.model_validate_json(vector.model_dump_json()) == vector


def test_order_of_writing_does_not_matter() -> None:
    one, two = BudgetVector({"usd": 1, "tokens": 2}), BudgetVector({"tokens": 2, "usd": 1})
    assert one == two
    assert hash(one) == hash(two)
    assert one.model_dump_json() == two.model_dump_json()


def test_not_named_is_unlimited_in_a_grant_and_nothing_in_a_price() -> None:
    grant = BudgetVector({"usd": 10})
    assert grant.covers(BudgetVector({"usd": 10, "tokens": 1_000_000}))
    assert grant.covers(BudgetVector({}))
    assert BudgetVector({}).covers(grant)


def test_zero_forbids() -> None:
    grant = BudgetVector({"usd": 10, "expensive_model_calls": 0})
    assert not grant.covers(BudgetVector({"expensive_model_calls": 1}))
    assert grant.short_of(BudgetVector({"expensive_model_calls": 1, "usd": 11})) == "expensive_model_calls"
    assert grant.covers(BudgetVector({"expensive_model_calls": 0}))


def test_sums_name_what_either_names() -> None:
    assert BudgetVector({"usd": 1}) + BudgetVector({"usd": 2, "tokens": 3}) == BudgetVector({"usd": 3, "tokens": 3})


def test_a_sum_beyond_what_redis_counts_exactly_is_refused() -> None:
    with pytest.raises(InvalidInput):
        BudgetVector({"tokens": MAX_AMOUNT}) + BudgetVector({"tokens": 1})


def test_a_difference_keeps_what_is_limited_and_never_goes_below_nothing() -> None:
    left = BudgetVector({"usd": 5, "tokens": 3}) - BudgetVector({"usd": 2, "cheap_model_calls": 9})
    assert left == BudgetVector({"usd": 3, "tokens": 3})
    with pytest.raises(InvalidInput):
        BudgetVector({"usd": 1}) - BudgetVector({"usd": 2})


def test_a_share_is_rounded_down_and_limits_nothing_new() -> None:
    assert BudgetVector({"usd": 7, "tokens": 1}).share(0.5) == BudgetVector({"usd": 3, "tokens": 0})
    assert BudgetVector({"usd": 7}).share(1) == BudgetVector({"usd": 7})
    assert BudgetVector({"usd": MAX_AMOUNT}).share(1)["usd"] == MAX_AMOUNT


@pytest.mark.parametrize("part", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_share_lies_within_0_and_1(part: float) -> None:
    with pytest.raises(InvalidInput, match=r"is not within 0\.\.1"):
        BudgetVector({"usd": 7}).share(part)


def test_a_vector_of_nothing_is_false() -> None:
    assert not BudgetVector({})
    assert not BudgetVector({"usd": 0})
    assert BudgetVector({"usd": 1})


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "$0.00"), (1, "$0.000001"), (1_500_000, "$1.50"), (1_234_567, "$1.234567"), (-250_000, "-$0.25")],
)
def test_dollars_are_shown_with_two_decimals_or_as_many_as_needed(micros: int, text: str) -> None:
    assert format_usd(micros) == text
