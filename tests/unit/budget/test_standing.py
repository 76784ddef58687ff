import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.budget.ledger import Account, Ledger
from maestro.budget.standing import AT_EASE, Level, Standing, left, looked_at, part_of, standing
from maestro.budget.vector import MAX_AMOUNT
from maestro.policy.gradient import Thresholds, alerted, strain

SHIPPED = Thresholds()


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    granted = draw(st.none() | st.integers(0, MAX_AMOUNT))
    spent = draw(st.integers(0, granted or 10))
    return Account(granted, 0, spent, draw(st.integers(0, (granted or 10) - min(spent, granted or 10))))


@settings(max_examples=500, deadline=None)
@given(accounts())
def test_with_nothing_reserved_the_borders_are_those_of_the_policy_kernel(account: Account) -> None:
    path = ({"usd": account},)
    if account.granted == 0:
        assert standing(account) == AT_EASE, "what is forbidden has crossed nothing"
    else:
        assert int(standing(account).level) == int(strain(path, SHIPPED).usd)
        assert standing(account).alerted == bool(alerted(path, SHIPPED))


@pytest.mark.parametrize(("granted", "permille"), [(MAX_AMOUNT, 600), (999, 300), (1, 999), (1_001, 200)])
def test_a_part_is_exact_at_any_size(granted: int, permille: int) -> None:
    assert part_of(granted, permille) == granted * permille // 1_000


def test_what_is_reserved_is_not_gone() -> None:
    assert standing(Account(granted=100, reserved=100)) == AT_EASE
    assert left(Account(granted=100, reserved=30, spent=20, lent=10)) == 70


def test_a_look_tells_only_what_has_changed_since() -> None:
    ledger = Ledger({"usd": Account(100, 0, 85), "tokens": Account(100, 0, 0, 50), "tool.api": Account(0)})
    stands, crossed = looked_at({}, ledger)
    assert stands == {"tokens": Standing(Level.DOWNSHIFT), "usd": Standing(Level.FLOOR, alerted=True)}
    assert [(c.resource, c.since, c.to) for c in crossed] == [
        ("tokens", Level.NONE, Level.DOWNSHIFT),
        ("usd", Level.NONE, Level.FLOOR),
        ("usd", Level.NONE, None),
    ]
    assert looked_at(stands, ledger) == (stands, [])
    eased, back = looked_at(stands, Ledger({"usd": Account(1_000, 0, 85)}))
    assert (eased, [(c.since, c.to) for c in back]) == ({}, [(Level.FLOOR, Level.NONE)])
