"""Accounts above families: tenant, key, project, session, by their path.

    acme/key-7/reading/monday      at most four names; who draws on it draws on each account above it, too

    start   lend (there) -> create (here) -> confirm (there)         each may be repeated under its key; an open slice
    more    lend (there) -> rebudget (here) -> confirm (there)       is finished by whoever finds it
    back    owed (here) -> repay (there) -> repaid (here)            the rest of an ended root, and what was taken back

An account lends slices to families, which live in other partitions: no step spans two. All accounts of one first name
lie in one partition, so that a slice fits every account of its path or none.

Laws: in each account and resource, granted = free + lent; `lent` is what families have of it, spent or not. An account
without a grant of a resource is unlimited in it, and counts. What some account of the path limits is limited for the
family: what was not asked for is 0.
Invariant: at every moment the families of an account hold at most what it has lent; a death between two steps leaves it
having lent too much, never too little.

Source: spec/05 section 1; decisions 0020 and 0028.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, Protocol

from maestro.budget.ledger import Ledger, written
from maestro.budget.vector import BudgetVector
from maestro.errors import BudgetExceededError, Conflict, InvalidInput, NotFound
from maestro.ids import ContinuationId, Partition, TimeMs, check_label, home_partition

AccountPath = NewType("AccountPath", str)
DEEPEST = 4  # tenant, key, project, session
NOTHING = BudgetVector({})


@dataclass(frozen=True, slots=True)
class Slice:
    """What an account has lent to a family, while nobody has confirmed that the family has it."""

    path: AccountPath
    key: str
    cid: ContinuationId
    kind: Literal["start", "more"]
    amount: BudgetVector
    lent_ms: TimeMs


@dataclass(frozen=True, slots=True)
class Rest:
    """What a family owes its account, under the number by which it is paid once."""

    cid: ContinuationId
    path: AccountPath
    number: int
    amount: BudgetVector

    @property
    def key(self) -> str:
        return f"{self.cid}:{self.number}"


class Accounts(Protocol):
    """Both sides of what accounts and families have with each other; each method is one step in one partition."""

    async def grant(
        self, path: AccountPath, more: BudgetVector, less: BudgetVector, exactly: BudgetVector, key: str
    ) -> Ledger:
        """What the account may lend changed, once per `key`.

        Raises:
            BudgetExceededError: less than is lent.
        """
        ...

    async def of(self, partition: Partition) -> Mapping[AccountPath, Ledger]:
        """Every account that lies in a partition."""
        ...

    async def lend(self, asked: Slice, bounded: bool) -> BudgetVector | None:
        """Every account of the path has lent the slice, and it is open; returns what it holds, None once it is closed.

        Args:
            bounded: what some account limits, and was not asked for, is in the slice with 0.

        Raises:
            BudgetExceededError: some account of the path has not so much left.
            NotFound: there is no account on the path.
        """
        ...

    async def close(self, path: AccountPath, key: str, taken: bool) -> None:
        """The slice is the family's, or (not `taken`) the account's again; a closed one stays as it is."""
        ...

    async def open_slices(self, partition: Partition) -> Sequence[Slice]:
        """What is lent and not confirmed, by the accounts of a partition."""
        ...

    async def repay(self, rest: Rest) -> None:
        """The rest is the account's again, once."""
        ...

    async def void(self, cid: ContinuationId) -> bool:
        """False when `cid` is born; else it never will be."""
        ...

    async def owing(self, partition: Partition) -> Sequence[ContinuationId]:
        """Whose families owe something to an account, in the partition of the families."""
        ...

    async def owed(self, cid: ContinuationId) -> Rest | None:
        """What is to be paid next; the same until it is `repaid`. None when nothing is owed any more."""
        ...

    async def repaid(self, rest: Rest) -> None:
        """Nobody needs to pay it again."""
        ...


def check_path(text: str) -> AccountPath:
    """`text` as the path of an account.

    Raises:
        InvalidInput: no names, more than four, or one that is none.
    """
    names = text.split("/")
    if len(names) > DEEPEST:
        raise InvalidInput(
            f"{text[:80]!r} is deeper than {DEEPEST}", field="account", hint="write TENANT/KEY/PROJECT/SESSION, or less"
        )
    return AccountPath("/".join(check_label(name, "account") for name in names))


def path_above(path: AccountPath) -> list[AccountPath]:
    """The account itself, and every one above it."""
    names = path.split("/")
    return [AccountPath("/".join(names[:depth])) for depth in range(len(names), 0, -1)]


def account_home(path: AccountPath, partitions: int) -> Partition:
    """Where an account lies: with all that have its first name."""
    return home_partition(path.partition("/")[0], partitions)


def slice_of(asked: BudgetVector, above: Iterable[Ledger]) -> BudgetVector:
    """What a family gets that asks for `asked`: what some account limits is limited for it, too."""
    limited = {name: 0 for ledger in above for name in ledger.granted.root}
    return BudgetVector({**limited, **asked.root})


def too_little(path: str, resource: str, asked: int, free: int) -> BudgetExceededError:
    """The refusal of a slice."""
    return BudgetExceededError(
        f"account {path} has {written(resource, free)} {resource} left, and {written(resource, asked)} were asked for",
        field=f"budget.{resource}",
        hint=f"ask for less, or `maestro accounts grant {path} {resource}=+{written(resource, asked - free)}`",
        resource=resource,
        asked=asked,
        free=free,
        account=path,
    )


def no_account(path: str) -> NotFound:
    """The refusal of a path on which nobody ever granted anything."""
    make = f"make it with `maestro accounts grant {path} usd=+10`"
    return NotFound(f"no account {path!r}", field="account", hint=make)


def given_up(cid: ContinuationId) -> Conflict:
    """The refusal of a birth whose slice was taken back, because it took so long."""
    return Conflict(f"the start of {cid} was given up: its slice is its account's again", hint="start it anew")
