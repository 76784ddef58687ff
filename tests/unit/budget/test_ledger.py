import pytest

from maestro.budget.ledger import (
    Account,
    Ledger,
    bounded,
    charge_unknown,
    close_child,
    correct,
    grant,
    lend,
    refund,
    reserve,
    revoke,
    settle,
)
from maestro.budget.vector import BudgetVector
from maestro.errors import BudgetExceededError
from maestro.ids import CallId

CALL, OTHER = CallId("call-1"), CallId("call-2")


def usd(micros: int) -> BudgetVector:
    return BudgetVector({"usd": micros})


def funded(micros: int) -> Ledger:
    return grant(Ledger(), usd(micros))


def test_a_reservation_is_set_aside_and_then_settled_for_what_it_cost() -> None:
    ledger = reserve(funded(100), CALL, usd(60))
    assert ledger.account("usd") == Account(granted=100, reserved=60)
    assert settle(ledger, CALL, usd(20)).account("usd") == Account(granted=100, spent=20)


def test_the_same_call_reserves_once_and_settles_once() -> None:
    once = reserve(funded(100), CALL, usd(60))
    assert reserve(once, CALL, usd(60)) == once
    settled = settle(once, CALL, usd(20))
    assert settle(settled, CALL, usd(20)) == settled


def test_a_refused_reservation_says_what_is_short_and_how_to_help() -> None:
    with pytest.raises(BudgetExceededError) as caught:
        reserve(funded(1_000_000), CALL, usd(1_250_000))
    assert caught.value.facts == {"resource": "usd", "asked": 1_250_000, "free": 1_000_000}
    assert caught.value.message == "cannot reserve 1.25 usd: only 1.00 free"
    assert caught.value.hint == "grant more with `maestro rebudget ID usd=+0.25`"


def test_one_short_resource_refuses_the_whole_price() -> None:
    ledger = grant(funded(100), BudgetVector({"expensive_model_calls": 0}))
    with pytest.raises(BudgetExceededError) as caught:
        reserve(ledger, CALL, BudgetVector({"usd": 1, "expensive_model_calls": 1}))
    assert caught.value.field == "budget.expensive_model_calls"


def test_a_resource_that_is_out_stops_only_what_it_pays_for() -> None:
    ledger = grant(funded(100), BudgetVector({"expensive_model_calls": 0}))
    assert reserve(ledger, CALL, BudgetVector({"usd": 1, "cheap_model_calls": 1})).account("usd").reserved == 1


def test_an_unlimited_account_counts_and_never_refuses() -> None:
    ledger = settle(reserve(Ledger(), CALL, usd(5)), CALL, usd(5))
    assert ledger.account("usd") == Account(granted=None, spent=5)
    assert ledger.account("usd").free is None
    assert "usd" not in ledger.free
    assert ledger.spent == usd(5)


def test_a_grant_to_an_unlimited_account_leaves_exactly_the_grant_free() -> None:
    ledger = reserve(settle(reserve(Ledger(), CALL, usd(5)), CALL, usd(5)), OTHER, usd(2))
    assert grant(ledger, usd(10)).account("usd").free == 10


def test_what_is_free_can_be_taken_back_and_no_more() -> None:
    ledger = reserve(funded(100), CALL, usd(60))
    assert revoke(ledger, usd(40)).account("usd").free == 0
    with pytest.raises(BudgetExceededError, match=r"cannot take back 0.000041 usd: .*take back 0.00004 at most"):
        revoke(ledger, usd(41))


def test_nothing_can_be_taken_back_from_what_is_unlimited() -> None:
    with pytest.raises(BudgetExceededError):
        revoke(Ledger(), usd(1))
    assert revoke(Ledger(), usd(0)).account("usd").granted is None


def test_a_refund_frees_the_whole_reservation() -> None:
    assert refund(reserve(funded(100), CALL, usd(60)), CALL).free == usd(100)


def test_a_bill_beyond_the_reservation_is_booked_and_then_everything_is_refused() -> None:
    ledger = settle(reserve(funded(100), CALL, usd(60)), CALL, usd(130))
    assert ledger.account("usd").free == -30
    assert ledger.free == usd(0)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, OTHER, usd(1))
    assert reserve(ledger, OTHER, usd(0)).reservations.keys() == {OTHER}


def test_what_was_lent_comes_back_as_far_as_it_is_free() -> None:
    parent, child = lend(funded(100), usd(40)), funded(40)
    child = settle(reserve(child, CALL, usd(15)), CALL, usd(15))
    parent, child = close_child(parent, child)
    assert parent.account("usd") == Account(granted=100, lent=15)
    assert child.account("usd") == Account(granted=15, spent=15)


def test_closing_a_child_twice_gives_nothing_back_the_second_time() -> None:
    once = close_child(lend(funded(100), usd(40)), funded(40))
    assert close_child(*once) == once


def test_a_child_without_a_limit_gives_back_nothing_and_stays_without_a_limit() -> None:
    child = settle(reserve(Ledger(), CALL, usd(5)), CALL, usd(5))
    parent, closed = close_child(Ledger(), child)
    assert closed.account("usd") == Account(granted=None, spent=5)
    assert parent == Ledger()


def test_a_child_is_limited_in_all_that_its_parent_is_limited_in() -> None:
    parent = grant(funded(100), BudgetVector({"human.approvals": 1}))
    assert bounded(parent, usd(10)) == BudgetVector({"usd": 10, "human.approvals": 0})
    assert bounded(parent, BudgetVector({"tokens": 5})) == BudgetVector({"usd": 0, "human.approvals": 0, "tokens": 5})
    assert bounded(Ledger(), usd(10)) == usd(10)


def test_what_will_not_be_known_is_charged_in_full() -> None:
    ledger = charge_unknown(reserve(reserve(funded(100), CALL, usd(30)), OTHER, usd(20)))
    assert ledger.account("usd") == Account(granted=100, spent=50)
    assert ledger.reservations == {}


def test_what_the_provider_tells_later_takes_the_place_of_what_was_charged_in_full() -> None:
    ledger = charge_unknown(reserve(reserve(funded(100), CALL, usd(30)), OTHER, usd(20)))
    told = correct(ledger, CALL, usd(7))
    assert told.account("usd") == Account(granted=100, spent=27)
    assert told.unknown == {OTHER: usd(20)}
    assert correct(told, CALL, usd(1)) is told, "once"
    assert correct(told, OTHER, usd(25)).account("usd").spent == 32, "it may be more than was charged"


def test_a_ledger_cannot_be_changed_in_place() -> None:
    ledger = reserve(funded(100), CALL, usd(1))
    for mapping in (ledger.accounts, ledger.reservations):
        with pytest.raises(TypeError):
            mapping["usd"] = None  # type: ignore[index]
