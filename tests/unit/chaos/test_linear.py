"""Whether a history of one claim fits into some order."""

from math import inf

from maestro.chaos.linear import Move, is_linearizable


def take(began: float, ended: float, epoch: int, known: bool = True) -> Move:
    return Move(began, ended, known, take=True, epoch=epoch)


def renew(began: float, ended: float, epoch: int, granted: bool) -> Move:
    return Move(began, ended, known=True, take=False, epoch=epoch, granted=granted)


def test_concurrent_takes_may_have_happened_in_either_order() -> None:
    assert is_linearizable([take(0, 10, 2), take(1, 9, 1)])
    assert is_linearizable([])


def test_a_number_given_twice_fits_nowhere() -> None:
    assert not is_linearizable([take(0, 10, 1), take(1, 9, 1)])


def test_who_ended_before_another_began_came_first() -> None:
    assert not is_linearizable([take(0, 1, 2), take(2, 3, 1)])


def test_a_number_that_is_over_is_not_renewed() -> None:
    assert not is_linearizable([take(0, 1, 1), take(2, 3, 2), renew(4, 5, 1, granted=True)])
    assert is_linearizable([take(0, 1, 1), take(2, 3, 2), renew(4, 5, 1, granted=False)])
    assert is_linearizable([take(0, 1, 1), take(2, 5, 2), renew(3, 4, 1, granted=True)])


def test_an_outcome_that_nobody_knows_may_have_happened_or_not() -> None:
    unknown = take(0, inf, 0, known=False)
    assert is_linearizable([unknown, take(2, 3, 1)])
    assert is_linearizable([unknown, take(2, 3, 2)])
    assert not is_linearizable([unknown, take(2, 3, 3)])
