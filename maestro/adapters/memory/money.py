"""Money between parents and children, and from people: the movements that touch more than one ledger.

Invariant: `lent` of every continuation is the sum of what its children are granted, before and after.
The movements inside one ledger are those of maestro.budget.ledger, the borders those of maestro.budget.standing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import add

from pydantic import JsonValue

from maestro.adapters.memory.state import Debt, PartitionState, Row
from maestro.budget import ledger as ledgers
from maestro.budget.ledger import Ledger
from maestro.budget.standing import Crossing, looked_at
from maestro.budget.vector import BudgetVector
from maestro.ids import CallId
from maestro.runtime.alarms import crossed
from maestro.runtime.ports import RELAY
from maestro.tick.store import OutboxRow


def total(amounts: Iterable[BudgetVector]) -> BudgetVector:
    return reduce(add, amounts, BudgetVector({}))


def give_back(state: PartitionState, row: Row) -> None:
    """What an ended one has free is its parent's again; an ended parent passes it on, to its account in the end."""
    parent = _parent(state, row)
    while parent is not None and row.terminal:
        parent.ledger, row.ledger = ledgers.close_child(parent.ledger, row.ledger)
        row, parent = parent, _parent(state, parent)
    if row.terminal and row.account is not None:
        rest = row.ledger.free
        row.ledger = ledgers.revoke(row.ledger, rest)
        owe(state, row, rest)


def owe(state: PartitionState, row: Row, amount: BudgetVector) -> None:
    """What the family under `row` has no more use for is owed to the account that lent it."""
    if row.account is not None and amount:
        debt = state.debts.setdefault(row.cid, Debt())
        debt.amount += amount


def towards(
    ledger: Ledger, more: BudgetVector, less: BudgetVector, exactly: BudgetVector
) -> tuple[BudgetVector, BudgetVector]:
    """(more, less), where what shall be granted `exactly` is told as the change that leads there."""
    gain, loss = dict(more.items()), dict(less.items())
    for name, wanted in exactly.items():
        account = ledger.account(name)
        by = wanted - (account.reserved + account.spent + account.lent if account.granted is None else account.granted)
        if by < 0:
            loss[name] = -by
        elif by > 0 or account.granted is None:
            gain[name] = by
    return BudgetVector(gain), BudgetVector(loss)


def rebudget(state: PartitionState, row: Row, more: BudgetVector, less: BudgetVector) -> None:
    """Money from outside came in, or went out, on the whole path from the root: each ancestor lends on what it got.

    Raises:
        BudgetExceededError: `less` takes back more than is free.
    """
    before = row.ledger
    row.ledger = ledgers.grant(ledgers.revoke(before, less), more)
    pass_on(state, row, difference(before, row.ledger, more + less))


def difference(before: Ledger, after: Ledger, names: BudgetVector) -> dict[str, int]:
    """By how much what is granted changed, of each resource that is named."""
    was, now = ({name: ledger.account(name).granted or 0 for name in names.root} for ledger in (before, after))
    return {name: now[name] - was[name] for name in names.root}


def move_out(state: PartitionState, row: Row, amount: BudgetVector) -> None:
    """`amount` left the family for a fork: of what is limited, out of what is free.

    Raises:
        BudgetExceededError: it is more than is free.
    """
    limited = {name: asked for name, asked in amount.items() if row.ledger.account(name).granted is not None}
    rebudget(state, row, more=BudgetVector({}), less=BudgetVector(limited))


def move_over(state: PartitionState, row: Row, heir: Row) -> None:
    """What `row` has free is the heir's, of each resource that limits the heir."""
    left = BudgetVector({name: free for name, free in row.ledger.free.items() if name in heir.ledger.granted.root})
    rebudget(state, row, more=BudgetVector({}), less=left)
    rebudget(state, heir, more=left, less=BudgetVector({}))


def transfer(state: PartitionState, source: Row, to: Row, amount: BudgetVector) -> None:
    """`amount` of what `source` has free is granted to `to`.

    Raises:
        BudgetExceededError: it is more than is free.
    """
    rebudget(state, source, more=BudgetVector({}), less=amount)
    rebudget(state, to, more=amount, less=BudgetVector({}))


def correct(
    state: PartitionState, row: Row, call: CallId, actual: BudgetVector, about: Mapping[str, JsonValue]
) -> bool:
    """What a commit charged in full is charged as the provider told after all; False where no such charge stands."""
    charged = row.ledger.unknown.get(call)
    if charged is None:
        return False
    row.ledger = ledgers.correct(row.ledger, call, actual)
    told = {"rev": row.rev, "call_id": call, "charged": charged.root, "actual": actual.root, "at_ms": state.now()}
    state.fact({**about, "type": "refunded", "cid": row.cid, **told})
    give_back(state, row)
    return True


def tell_charge(state: PartitionState, row: Row, charge: BudgetVector, **told: object) -> None:
    """What is spent is a fact: all of them together, and what was refunded, are what the ledgers say."""
    where = {"rev": row.rev + 1, "charge": charge.root, "at_ms": state.now()}
    state.fact({"type": "budget_charge", "cid": row.cid, **where, **told})


def tell_crossings(state: PartitionState, *moved: Row) -> None:
    """Whoever's money was moved, or an ancestor's with it, may have crossed a border: each crossing is one fact."""
    touched = {row.cid: row for one in moved for row in (one, *ancestors(state, one))}
    for _, row in sorted(touched.items()):
        if not row.terminal:
            row.standings, crossings = looked_at(row.standings, row.ledger)
            for crossing in crossings:
                _tell(state, row, crossing)


def _tell(state: PartitionState, row: Row, crossing: Crossing) -> None:
    """It is a fact, and one event of the mesh on its way; an alert waits for people, too."""
    row.crossings += 1
    told = crossing.fact(row.cid, state.now())
    event = crossed(row.cid, row.crossings, told, state.now(), state.tenant)
    state.fact(told)
    state.outbox.add(OutboxRow(event.id, "event", "mesh", event.model_dump_json().encode()))
    state.signals.ring(RELAY)
    if crossing.to is None:
        state.alarms[event.id] = told


def pass_on(state: PartitionState, row: Row, change: Mapping[str, int]) -> None:
    """What `row` was granted changed: each ancestor lends on what changed, up to the first that has no limit."""
    for name, by in change.items():
        for ancestor in ancestors(state, row):
            account = ancestor.ledger.account(name)
            granted = None if account.granted is None else account.granted + by
            moved = replace(account, granted=granted, lent=account.lent + by)
            ancestor.ledger = replace(ancestor.ledger, accounts={**ancestor.ledger.accounts, name: moved})
            if granted is None:
                break


def ancestors(state: PartitionState, row: Row) -> Iterator[Row]:
    """Its parent first, its root last."""
    parent = _parent(state, row)
    while parent is not None:
        yield parent
        parent = _parent(state, parent)


def root_of(state: PartitionState, row: Row) -> Row:
    """Who has no parent, and stands above it or is it."""
    return [row, *ancestors(state, row)][-1]


def _parent(state: PartitionState, row: Row) -> Row | None:
    return state.rows[row.parent] if row.parent is not None else None
