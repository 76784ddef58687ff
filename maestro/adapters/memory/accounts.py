"""Accounts above families, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

from maestro.adapters.memory import money
from maestro.adapters.memory.state import Memory, PartitionState
from maestro.budget import ledger as ledgers
from maestro.budget.accounts import (
    NOTHING,
    AccountPath,
    Rest,
    Slice,
    account_home,
    no_account,
    path_above,
    slice_of,
    too_little,
)
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.errors import BudgetExceededError
from maestro.ids import ContinuationId, Partition

VOID = "void"


class MemoryAccounts:
    """maestro.budget.accounts.Accounts in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def grant(
        self, path: AccountPath, more: BudgetVector, less: BudgetVector, exactly: BudgetVector, key: str
    ) -> Ledger:
        state, once = self._home(path), ("account", f"{path} {key}")
        ledger = state.accounts.get(path, Ledger())
        if once in state.seen:
            return ledger
        more, less = money.towards(ledger, more, less, exactly)
        changed = ledgers.grant(ledgers.revoke(ledger, less), more)
        state.seen.add(once, state.now())
        state.accounts[path] = changed
        change = {name: more[name] - less[name] for name in {**more.root, **less.root}}
        state.fact({"type": "account_granted", "account": path, "change": change, "key": key, "at_ms": state.now()})
        return changed

    async def of(self, partition: Partition) -> Mapping[AccountPath, Ledger]:
        return dict(self._memory.at(partition).accounts)

    async def lend(self, asked: Slice, bounded: bool) -> BudgetVector | None:
        state = self._home(asked.path)
        if asked.key in state.slices:
            return state.slices[asked.key].amount
        if ("slice", asked.key) in state.seen:
            return None
        levels = [(path, state.accounts.get(path)) for path in path_above(asked.path)]
        known = [ledger for _, ledger in levels if ledger is not None]
        if not known:
            raise no_account(asked.path)
        amount = slice_of(asked.amount, known) if bounded else asked.amount
        lent = {path: _lent(path, ledger or Ledger(), amount) for path, ledger in levels}
        state.accounts.update(lent)
        state.slices[asked.key] = replace(asked, amount=amount, lent_ms=state.now())
        self._tell(state, "slice_lent", asked.path, asked.cid, amount, asked.key)
        return amount

    async def close(self, path: AccountPath, key: str, taken: bool) -> None:
        state = self._home(path)
        known = state.slices.pop(key, None)
        if known is None:
            return
        state.seen.add(("slice", key), state.now())
        if not taken:
            _take_back(state, path, known.amount)
            self._tell(state, "slice_repaid", path, known.cid, known.amount, key)

    async def open_slices(self, partition: Partition) -> Sequence[Slice]:
        return list(self._memory.at(partition).slices.values())

    async def repay(self, rest: Rest) -> None:
        state, once = self._home(rest.path), ("repaid", rest.key)
        if once in state.seen:
            return
        state.seen.add(once, state.now())
        _take_back(state, rest.path, rest.amount)
        self._tell(state, "slice_repaid", rest.path, rest.cid, rest.amount, rest.key)

    async def void(self, cid: ContinuationId) -> bool:
        state = self._memory.of(cid)
        if cid in state.rows:
            return False
        state.seen.add((VOID, cid), state.now())
        return True

    async def owing(self, partition: Partition) -> Sequence[ContinuationId]:
        debts = self._memory.at(partition).debts
        return [cid for cid, debt in debts.items() if debt.amount or debt.open is not None]

    async def owed(self, cid: ContinuationId) -> Rest | None:
        state, row = self._memory.find(cid)
        debt = state.debts.get(cid)
        if debt is None or row.account is None:
            return None
        if debt.open is None and debt.amount:
            debt.last += 1
            debt.open, debt.amount = Rest(cid, row.account, debt.last, debt.amount), NOTHING
        return debt.open

    async def repaid(self, rest: Rest) -> None:
        debt = self._memory.of(rest.cid).debts.get(rest.cid)
        if debt is not None and debt.open is not None and debt.open.number == rest.number:
            debt.open = None

    def _home(self, path: AccountPath) -> PartitionState:
        return self._memory.at(account_home(path, len(self._memory.partitions)))

    def _tell(
        self, state: PartitionState, type_: str, path: str, cid: ContinuationId, amount: BudgetVector, key: str
    ) -> None:
        told = {"cid": cid, "amount": amount.root, "key": key, "at_ms": state.now()}
        state.fact({"type": type_, "account": path, **told})


def _lent(path: AccountPath, ledger: Ledger, amount: BudgetVector) -> Ledger:
    try:
        return ledgers.lend(ledger, amount)
    except BudgetExceededError as error:
        facts = error.facts
        raise too_little(path, str(facts["resource"]), int(str(facts["asked"])), int(str(facts["free"]))) from None


def _take_back(state: PartitionState, path: AccountPath, amount: BudgetVector) -> None:
    """Every account of the path has so much less lent, and none less than nothing."""
    for one in path_above(path):
        ledger = state.accounts.get(one, Ledger())
        back = {name: min(by, ledger.account(name).lent) for name, by in amount.items()}
        state.accounts[one] = reduce(_less_lent, back.items(), ledger)


def _less_lent(ledger: Ledger, moved: tuple[str, int]) -> Ledger:
    name, by = moved
    account = ledger.account(name)
    return replace(ledger, accounts={**ledger.accounts, name: replace(account, lent=account.lent - by)})
