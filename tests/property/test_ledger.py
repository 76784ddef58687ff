"""Conservation over random family trees: whatever moves, money neither appears nor disappears.

The machine plays a whole family with the ledger's movements, and after each of them counts the money independently: by
open calls, by bills paid, and by what each child holds.
"""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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

RESOURCES = ("usd", "expensive_model_calls", "tool.search")
AMOUNTS = st.integers(0, 60)
VECTORS = st.dictionaries(st.sampled_from(RESOURCES), AMOUNTS).map(BudgetVector)
PICK = st.integers(0, 1_000_000)


class Family(RuleBasedStateMachine):
    """A root and its descendants; member 0 is the root, `parents[n]` the parent of member n."""

    def __init__(self) -> None:
        super().__init__()
        self.ledgers: list[Ledger] = []
        self.parents: list[int | None] = []
        self.paid: list[dict[str, int]] = []
        self.endowment: dict[str, int] = {}
        self.calls = 0

    @initialize(endowment=VECTORS)
    def begin(self, endowment: BudgetVector) -> None:
        self._bear(grant(Ledger(), endowment), parent=None)
        self.endowment = dict(endowment.items())

    @rule(who=PICK, price=VECTORS)
    def call_begins(self, who: int, price: BudgetVector) -> None:
        self.calls += 1
        self._try(who, lambda ledger: reserve(ledger, CallId(f"call-{self.calls}"), price))

    @rule(who=PICK, which=PICK, part=st.integers(0, 100))
    def call_ends(self, who: int, which: int, part: int) -> None:
        who, open_calls = self._open(who)
        if open_calls:
            call = open_calls[which % len(open_calls)]
            bill = self.ledgers[who].reservations[call].share(part / 100)
            self.ledgers[who] = settle(self.ledgers[who], call, bill)
            self._pay(who, bill)
            assert settle(self.ledgers[who], call, bill) == self.ledgers[who]

    @rule(who=PICK, which=PICK)
    def call_is_cancelled(self, who: int, which: int) -> None:
        who, open_calls = self._open(who)
        if open_calls:
            self.ledgers[who] = refund(self.ledgers[who], open_calls[which % len(open_calls)])

    @rule(who=PICK)
    def outcome_is_unknown(self, who: int) -> None:
        who %= len(self.ledgers)
        for price in self.ledgers[who].reservations.values():
            self._pay(who, price)
        self.ledgers[who] = charge_unknown(self.ledgers[who])

    @rule(who=PICK, part=st.integers(0, 100))
    def provider_tells_after_all(self, who: int, part: int) -> None:
        who %= len(self.ledgers)
        for call, charged in sorted(self.ledgers[who].unknown.items())[:1]:
            actual = charged.share(part / 100)
            for name, amount in charged.items():
                self.paid[who][name] += actual[name] - amount
            for _ in range(2):
                self.ledgers[who] = correct(self.ledgers[who], call, actual)

    @rule(who=PICK, asked=VECTORS)
    def child_is_born(self, who: int, asked: BudgetVector) -> None:
        who %= len(self.ledgers)
        share = bounded(self.ledgers[who], asked)
        if self._try(who, lambda ledger: lend(ledger, share)):
            self._bear(grant(Ledger(), share), parent=who)

    @rule(who=PICK)
    def child_ends(self, who: int) -> None:
        who %= len(self.ledgers)
        parent = self.parents[who]
        if parent is not None:
            child = charge_unknown(self.ledgers[who])
            for price in self.ledgers[who].reservations.values():
                self._pay(who, price)
            self.ledgers[parent], self.ledgers[who] = close_child(self.ledgers[parent], child)
            assert not self.ledgers[who].free

    @rule(more=VECTORS)
    def root_is_granted_more(self, more: BudgetVector) -> None:
        known = BudgetVector({name: amount for name, amount in more.items() if name in self.endowment})
        self.ledgers[0] = grant(self.ledgers[0], known)
        self.endowment = {name: amount + known[name] for name, amount in self.endowment.items()}

    @rule(less=VECTORS)
    def root_is_cut(self, less: BudgetVector) -> None:
        if self._try(0, lambda ledger: revoke(ledger, less)):
            self.endowment = {name: amount - less[name] for name, amount in self.endowment.items()}

    @invariant()
    def the_law_holds_in_every_account(self) -> None:
        for account in self._accounts():
            assert min(account.reserved, account.spent, account.lent) >= 0, account
            if account.granted is not None and account.free is not None:
                assert account.free >= 0, account
                assert account.granted == account.free + account.reserved + account.spent + account.lent

    @invariant()
    def reserved_is_the_sum_of_open_calls_and_spent_of_paid_bills(self) -> None:
        for ledger, paid in zip(self.ledgers, self.paid, strict=True):
            for resource in RESOURCES:
                open_prices = sum(price[resource] for price in ledger.reservations.values())
                assert ledger.account(resource).reserved == open_prices
                assert ledger.account(resource).spent == paid.get(resource, 0)

    @invariant()
    def lent_is_what_the_children_hold(self) -> None:
        for who, ledger in enumerate(self.ledgers):
            children = [child for child, parent in zip(self.ledgers, self.parents, strict=True) if parent == who]
            for resource in RESOURCES:
                held = sum(child.account(resource).granted or 0 for child in children)
                assert ledger.account(resource).lent == held

    @invariant()
    def the_family_together_has_what_was_put_in(self) -> None:
        for resource, endowment in self.endowment.items():
            accounts = [ledger.account(resource) for ledger in self.ledgers]
            assert sum((a.free or 0) + a.reserved + a.spent for a in accounts) == endowment

    def _try(self, who: int, move: Callable[[Ledger], Ledger]) -> bool:
        """The movement happened, or was refused and nothing at all changed."""
        who %= len(self.ledgers)
        before = self.ledgers[who]
        copy = Ledger(dict(before.accounts), dict(before.reservations), dict(before.unknown))
        try:
            self.ledgers[who] = move(before)
        except BudgetExceededError:
            assert before == copy
            return False
        return True

    def _open(self, who: int) -> tuple[int, list[CallId]]:
        who %= len(self.ledgers)
        return who, sorted(self.ledgers[who].reservations)

    def _bear(self, ledger: Ledger, parent: int | None) -> None:
        self.ledgers.append(ledger)
        self.parents.append(parent)
        self.paid.append({})

    def _pay(self, who: int, bill: BudgetVector) -> None:
        for resource, amount in bill.items():
            self.paid[who][resource] = self.paid[who].get(resource, 0) + amount

    def _accounts(self) -> list[Account]:
        return [account for ledger in self.ledgers for account in ledger.accounts.values()]


TestFamily = pytest.mark.timeout(300)(Family.TestCase)
TestFamily.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
