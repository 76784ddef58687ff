"""The writes of people: money, branches, standstill and orders. Each is one atomic step, and a fact in the feed.

Each is safe to repeat: by its key, by the mail's id, or because what it asks for is so already.
"""

from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Control, Kind, Mail
from maestro.errors import Conflict, InvalidInput
from maestro.ids import ContinuationId, MailId, Rev, TimeMs
from maestro.tick.store import Birth, Delivered

PERSON = "person"
UNCHANGED = BudgetVector({})


@dataclass(frozen=True, slots=True)
class Forked:
    """The fork that a call made, or that an earlier call under its key had made."""

    cid: ContinuationId
    duplicate: bool = False


class Steering(Protocol):
    async def rebudget(
        self,
        cid: ContinuationId,
        more: BudgetVector,
        less: BudgetVector,
        key: str,
        exactly: BudgetVector = UNCHANGED,
        by: str = PERSON,
    ) -> Ledger:
        """The grant changed, once per `key`; a continuation that waits on budget gets GRANTED mail with it.

        Args:
            exactly: what shall be granted in all, of each resource that it names.

        Raises:
            BudgetExceededError: it takes back more than is free.
        """
        ...

    async def soften(self, cid: ContinuationId, caps: BudgetVector, by: str = PERSON) -> Ledger:
        """The soft caps are these, of each resource that is named; each border that is crossed by that is a fact.

        Raises:
            ContinuationAlreadyTerminalError: it has ended.
        """
        ...

    async def transfer(
        self, source: ContinuationId, to: ContinuationId, amount: BudgetVector, key: str, by: str = PERSON
    ) -> tuple[Ledger, Ledger]:
        """`amount` of what `source` has free is granted to `to`, another of its family, once per `key`; returns both.

        Raises:
            BudgetExceededError: it is more than is free.
            InvalidInput: they are not of one family, or one of them has no limit in a resource.
            ContinuationAlreadyTerminalError: one of them has ended.
        """
        ...

    async def fork(self, source: ContinuationId, birth: Birth, key: str = "", whole_at: Rev | None = None) -> Forked:
        """The fork exists, and its grant has moved from what `source` has free; once per `key`, if there is one.

        Args:
            whole_at: the unread mail and the field of `source`, which is at this revision, go along.

        Raises:
            Conflict: it is not at that revision any more.
            BudgetExceededError: the grant is more than `source` has free.
        """
        ...

    async def freeze(
        self, cid: ContinuationId, frozen: bool, by: str = PERSON, reason: str = "", tree: bool = False
    ) -> None:
        """While frozen nothing but a kill wakes it, mail and timers queue; thawed, it is ready if it would be by now.

        Args:
            tree: children born to it meanwhile are born frozen; those it has are frozen one by one, by the caller.
        """
        ...

    async def brake(self, on: bool, by: str = PERSON, reason: str = "") -> bool:
        """Nobody of this tenant is adopted any more but to be killed; off, everything goes on. Ticks under way end.

        True when it was otherwise before.
        """
        ...

    async def order(self, to: ContinuationId, mail: Mail) -> Delivered:
        """The order is in the mailbox; see Store.deliver."""
        ...

    async def advance(self, by_ms: int) -> TimeMs:
        """The virtual clock moved forward, and whoever waits for a time is roused; returns the time now.

        Raises:
            InvalidInput: the store's clock is not virtual, or the step is negative.
        """
        ...


HEIRLESS = "its heir has ended"
"""Begins the refusal of a merge into one that has ended; whoever reads it calls the merge off."""


def granted(key: str, amount: BudgetVector, now_ms: TimeMs) -> Mail:
    """What is told to whoever waits for money when there is some."""
    return Mail(
        id=MailId(f"granted:{key}"),
        kind=Kind.CONTROL,
        sender="budget",
        subject=Control.GRANTED,
        body=dict(amount.items()),
        sent_ms=now_ms,
    )


def order_fact(to: ContinuationId, order: Mail) -> dict[str, JsonValue]:
    """What the feed tells of an order."""
    given = {"by": order.sender, "mail": order.id, "body": order.body, "at_ms": order.sent_ms}
    return {"type": "ordered", "cid": to, "order": order.subject, **given}


def strangers(source: ContinuationId, to: ContinuationId) -> InvalidInput:
    """The refusal of a transfer out of a family."""
    return InvalidInput(f"{to} is not of the family of {source}", field="to", hint="`maestro rebudget` both instead")


def unlimited(cid: ContinuationId, resource: str) -> InvalidInput:
    """The refusal of a transfer from or to one that has as much as it likes."""
    hint = "a transfer is between two that are limited"
    return InvalidInput(f"{cid} has no limit of {resource}", field=f"budget.{resource}", hint=hint)


def news(cid: ContinuationId) -> Conflict:
    """The refusal of an end that does not know of every child."""
    return Conflict(f"{cid} has adopted a child meanwhile, and its end must know of it", hint="the tick is tried again")


def moved(source: ContinuationId, rev: Rev) -> Conflict:
    """The refusal of a fork of a moment that is over."""
    return Conflict(f"{source} is not at rev {rev} any more", field="at", hint="try again, or fork at a rev by number")


def heirless(heir: ContinuationId) -> Conflict:
    """The refusal of an end whose heir is gone."""
    return Conflict(f"{HEIRLESS}: {heir}", hint="merge into one that lives")
