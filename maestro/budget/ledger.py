"""Ledger arithmetic: one account per resource, every movement of money as a pure function.

The law, in every resource, after every movement:
    granted = free + reserved + spent + lent
An account without a grant (`granted is None`) is unlimited: it counts, and never refuses.

The store carries out the same movements inside its scripts; this module is what they are checked against.
Source: DESIGN section 4 "Budget"; spec/05 section 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from maestro.budget.vector import USD, BudgetVector, format_usd
from maestro.errors import BudgetExceededError
from maestro.ids import CallId

TAKE_BACK = "take back"


@dataclass(frozen=True, slots=True)
class Account:
    """One resource of one continuation, in that resource's unit."""

    granted: int | None = None
    reserved: int = 0
    spent: int = 0
    lent: int = 0
    soft: int | None = None
    """Where the borders are counted from, in place of what is granted; it refuses nothing."""

    @property
    def cap(self) -> int | None:
        """What the borders are parts of: the soft cap, never more than what is granted; None when nothing limits."""
        return min((limit for limit in (self.soft, self.granted) if limit is not None), default=None)

    @property
    def free(self) -> int | None:
        """What is left to reserve or lend; None when unlimited, negative only after a bill beyond its reservation."""
        return None if self.granted is None else self.granted - self.reserved - self.spent - self.lent


@dataclass(frozen=True, slots=True)
class Ledger:
    """The accounts of one continuation, its open reservations, and the charges that are not known to be true."""

    accounts: Mapping[str, Account] = field(default_factory=lambda: MappingProxyType({}))
    reservations: Mapping[CallId, BudgetVector] = field(default_factory=lambda: MappingProxyType({}))
    unknown: Mapping[CallId, BudgetVector] = field(default_factory=lambda: MappingProxyType({}))
    """What was charged in full because nobody knew what it cost; kept until the provider tells."""

    def account(self, resource: str) -> Account:
        """The account of `resource`; one that never moved is unlimited and empty."""
        return self.accounts.get(resource, Account())

    @property
    def free(self) -> BudgetVector:
        """What may still be reserved, of each limited resource (never below 0)."""
        return BudgetVector({name: max(0, a.free) for name, a in self.accounts.items() if a.free is not None})

    @property
    def granted(self) -> BudgetVector:
        """What was granted, of each limited resource."""
        return BudgetVector({name: a.granted for name, a in self.accounts.items() if a.granted is not None})

    @property
    def spent(self) -> BudgetVector:
        """What is spent for good, of each resource that ever moved."""
        return BudgetVector({name: a.spent for name, a in self.accounts.items()})


def grant(ledger: Ledger, amount: BudgetVector) -> Ledger:
    """More to spend; a resource that was unlimited becomes limited to what is used plus the grant."""
    return _each(ledger, amount, lambda a, n: replace(a, granted=n + (_used(a) if a.granted is None else a.granted)))


def revoke(ledger: Ledger, amount: BudgetVector) -> Ledger:
    """Less to spend.

    Raises:
        BudgetExceededError: more than is free; what is spent, reserved or lent cannot be taken back.
    """
    _require(ledger, amount, TAKE_BACK, limited_only=True)
    return _each(ledger, amount, lambda a, n: a if a.granted is None else replace(a, granted=a.granted - n))


def reserve(ledger: Ledger, call: CallId, price: BudgetVector) -> Ledger:
    """The maximum price of `call` is set aside; the same call twice reserves once.

    Raises:
        BudgetExceededError: some resource has less free than the price.
    """
    if call in ledger.reservations:
        return ledger
    _require(ledger, price, "reserve")
    moved = _each(ledger, price, lambda a, n: replace(a, reserved=a.reserved + n))
    return replace(moved, reservations=MappingProxyType({**ledger.reservations, call: price}))


def settle(ledger: Ledger, call: CallId, actual: BudgetVector) -> Ledger:
    """`call` cost `actual`; the rest of its reservation is free again. A call that is not reserved changes nothing."""
    if call not in ledger.reservations:
        return ledger
    price = ledger.reservations[call]
    moved = _each(ledger, price, lambda a, n: replace(a, reserved=a.reserved - n))
    moved = _each(moved, actual, lambda a, n: replace(a, spent=a.spent + n))
    return replace(moved, reservations=MappingProxyType({c: p for c, p in ledger.reservations.items() if c != call}))


def refund(ledger: Ledger, call: CallId) -> Ledger:
    """`call` never happened: its whole reservation is free again."""
    return settle(ledger, call, BudgetVector({}))


def bounded(parent: Ledger, asked: BudgetVector) -> BudgetVector:
    """The grant of a child that asks for `asked`: what the parent limits is limited for the child too.

    A resource that is not asked for becomes 0 then, because not named would mean unlimited, and the child could spend
    what its parent does not have.
    """
    return BudgetVector({**dict.fromkeys(parent.granted.root, 0), **asked.root})


def lend(ledger: Ledger, amount: BudgetVector) -> Ledger:
    """A child gets `amount` of what is free; a new child gets what `bounded` says.

    Raises:
        BudgetExceededError: some resource has less free than asked.
    """
    _require(ledger, amount, "lend")
    return _each(ledger, amount, lambda a, n: replace(a, lent=a.lent + n))


def soften(ledger: Ledger, caps: BudgetVector) -> Ledger:
    """The soft caps are these, of each resource that is named; what is granted stays."""
    return _each(ledger, caps, lambda a, n: replace(a, soft=n))


def spend(ledger: Ledger, amount: BudgetVector) -> Ledger:
    """`amount` is spent at once, without a reservation before: what a commit itself costs.

    Raises:
        BudgetExceededError: some resource has less free than asked.
    """
    _require(ledger, amount, "spend")
    return _each(ledger, amount, lambda a, n: replace(a, spent=a.spent + n))


def close_child(parent: Ledger, child: Ledger) -> tuple[Ledger, Ledger]:
    """A child ended: what it has free goes back to its parent; what it spent stays lent, and stays shown as its own.

    So `lent` is at every moment the sum of the children's `granted`, ended children included. A child with living
    children of its own gives back later what they return.
    """
    back = child.free
    closed = _each(child, back, lambda a, n: a if a.granted is None else replace(a, granted=a.granted - n))
    return _each(parent, back, lambda a, n: replace(a, lent=a.lent - n)), closed


def charge_unknown(ledger: Ledger) -> Ledger:
    """Every open reservation is charged in full: its outcome is not known, and may never be."""
    unknown = MappingProxyType({**ledger.unknown, **ledger.reservations})
    for call, price in ledger.reservations.items():
        ledger = settle(ledger, call, price)
    return replace(ledger, unknown=unknown)


def correct(ledger: Ledger, call: CallId, actual: BudgetVector) -> Ledger:
    """The provider told what `call` cost after all: it is charged that, once. Any other call changes nothing."""
    if call not in ledger.unknown:
        return ledger
    moved = _each(ledger, ledger.unknown[call], lambda a, n: replace(a, spent=a.spent - n))
    moved = _each(moved, actual, lambda a, n: replace(a, spent=a.spent + n))
    return replace(moved, unknown=MappingProxyType({c: p for c, p in ledger.unknown.items() if c != call}))


def _used(account: Account) -> int:
    return account.reserved + account.spent + account.lent


def _each(ledger: Ledger, amount: BudgetVector, change: Callable[[Account, int], Account]) -> Ledger:
    changed = {name: change(ledger.account(name), n) for name, n in amount.items()}
    return replace(ledger, accounts=MappingProxyType({**ledger.accounts, **changed}))


def _require(ledger: Ledger, amount: BudgetVector, verb: str, limited_only: bool = False) -> None:
    for name, asked in amount.items():
        free = ledger.account(name).free
        if (free is None and limited_only and asked) or (free is not None and asked > 0 and free < asked):
            raise exceeded(verb, name, asked, free or 0)


def exceeded(verb: str, resource: str, asked: int, free: int) -> BudgetExceededError:
    """The one text for every refusal of money; usd are written in dollars, the facts hold micro-dollars."""
    more = f"grant more with `maestro rebudget ID {resource}=+{written(resource, asked - free)}`"
    return BudgetExceededError(
        f"cannot {verb} {written(resource, asked)} {resource}: only {written(resource, free)} free",
        field=f"budget.{resource}",
        hint=f"take back {written(resource, free)} at most" if verb == TAKE_BACK else more,
        resource=resource,
        asked=asked,
        free=free,
    )


def written(resource: str, amount: int) -> str:
    """An amount as people write it: dollars of `usd`, a number of anything else."""
    return format_usd(amount).replace("$", "") if resource == USD else str(amount)
