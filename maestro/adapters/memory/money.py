"""Money between parents and children, and from people: the movements that touch more than one ledger.

Invariant: `lent` of every continuation is the sum of what its children are granted, before and after.
The movements inside one ledger are those of maestro.budget.ledger.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import add

from maestro.adapters.memory.state import PartitionState, Row
from maestro.budget import ledger as money
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector


def total(amounts: Iterable[BudgetVector]) -> BudgetVector:
    return reduce(add, amounts, BudgetVector({}))


def give_back(state: PartitionState, row: Row) -> None:
    """What an ended one has free is its parent's again; an ended parent passes it on."""
    parent = _parent(state, row)
    while parent is not None and row.terminal:
        parent.ledger, row.ledger = money.close_child(parent.ledger, row.ledger)
        row, parent = parent, _parent(state, parent)


def rebudget(state: PartitionState, row: Row, more: BudgetVector, less: BudgetVector) -> None:
    """Money from outside came in, or went out, on the whole path from the root: each ancestor lends on what it got.

    Raises:
        BudgetExceededError: `less` takes back more than is free.
    """
    before = row.ledger
    row.ledger = money.grant(money.revoke(before, less), more)
    change = {
        name: (row.ledger.account(name).granted or 0) - (before.account(name).granted or 0)
        for name in (more + less).root
    }
    for ancestor in _ancestors(state, row):
        ancestor.ledger = _passed_on(ancestor.ledger, change)


def move_out(state: PartitionState, row: Row, amount: BudgetVector) -> None:
    """`amount` left the family for a fork: of what is limited, out of what is free.

    Raises:
        BudgetExceededError: it is more than is free.
    """
    limited = {name: asked for name, asked in amount.items() if row.ledger.account(name).granted is not None}
    rebudget(state, row, more=BudgetVector({}), less=BudgetVector(limited))


def _passed_on(ledger: Ledger, change: Mapping[str, int]) -> Ledger:
    accounts = dict(ledger.accounts)
    for name, by in change.items():
        account = ledger.account(name)
        granted = None if account.granted is None else account.granted + by
        accounts[name] = replace(account, granted=granted, lent=account.lent + by)
    return replace(ledger, accounts=accounts)


def _parent(state: PartitionState, row: Row) -> Row | None:
    return state.rows[row.parent] if row.parent is not None else None


def _ancestors(state: PartitionState, row: Row) -> Iterator[Row]:
    parent = _parent(state, row)
    while parent is not None:
        yield parent
        parent = _parent(state, parent)
