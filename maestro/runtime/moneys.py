"""What people do with money that has been granted: move it inside a family, correct a charge, fill an account.

Invariant: each is one durable step, safe to repeat by its key or by what it is about, and a fact in the feed.

Source: spec/05 section 1.
"""

from pydantic import JsonValue

from maestro.budget.accounts import AccountPath, check_path
from maestro.budget.ledger import Ledger, written
from maestro.budget.vector import BudgetVector
from maestro.errors import Conflict, InvalidInput
from maestro.ids import CallId, ContinuationId, new_token
from maestro.runtime.audit import audited
from maestro.runtime.verbs import Installation, glance_of, partitions
from maestro.tick.steering import PERSON, UNCHANGED


@audited("transfer", "cid", "to", "amount", "key")
async def transfer(
    at: Installation,
    cid: ContinuationId,
    to: ContinuationId,
    amount: BudgetVector,
    *,
    key: str | None = None,
    by: str = PERSON,
) -> tuple[Ledger, Ledger]:
    """`amount` of what `cid` has free is granted to `to`, another of its family, once per `key`; both ledgers.

    Raises:
        BudgetExceededError: it is more than is free.
        InvalidInput: they are not of one family, one of them has no limit of it, or nothing is to be moved.
    """
    if not amount:
        raise InvalidInput("nothing is to be transferred", field="budget", hint="write usd=0.50")
    return await at.backend.steering.transfer(cid, to, amount, key or new_token("transfer"), by)


@audited("soften", "cid", "caps")
async def soften(at: Installation, cid: ContinuationId, caps: BudgetVector, *, by: str = PERSON) -> Ledger:
    """Alert and pressure count from these soft caps from now on; nothing is refused for their sake.

    Raises:
        ContinuationAlreadyTerminalError: it has ended.
    """
    return await at.backend.steering.soften(cid, caps, by)


@audited("refund", "cid", "call", "actual")
async def refund(at: Installation, cid: ContinuationId, call: str, actual: BudgetVector) -> Ledger:
    """A call that was charged in full, because nobody knew its outcome, has cost `actual`; the rest is free again.

    Once per call: what `actual` does not name stays as it was charged, and a second word is refused.

    Raises:
        InvalidInput: it would be more than was charged.
        Conflict: nothing is charged in full under that call.
    """
    charged = (await glance_of(at, cid)).ledger.unknown.get(CallId(call))
    for name, amount in actual.items():
        if charged is not None and amount > charged[name]:
            told = f"{call[:60]} was charged {written(name, charged[name])} {name}, not {written(name, amount)}"
            raise InvalidInput(told, field=f"budget.{name}", hint="give what it has cost")
    whole = actual if charged is None else BudgetVector({**charged.root, **actual.root})
    if charged is None or not await at.backend.journals.refund(cid, CallId(call), whole):
        hint = "see `maestro query`: call_id, of fact_spent, with the status unknown"
        raise Conflict(f"nothing is charged in full under {call[:60]!r}", field="call", hint=hint)
    return (await glance_of(at, cid)).ledger


@audited("grant account", "path", "more", "less", "exactly", "key")
async def grant_account(
    at: Installation,
    path: str,
    more: BudgetVector = UNCHANGED,
    less: BudgetVector = UNCHANGED,
    *,
    exactly: BudgetVector = UNCHANGED,
    key: str | None = None,
) -> Ledger:
    """What an account may lend has changed, once per `key`; an account is made by its first grant.

    Raises:
        BudgetExceededError: less than it has lent.
    """
    given = check_path(path), more, less, exactly, key or new_token("account")
    return await at.backend.accounts.grant(*given)


async def account_lines(at: Installation) -> list[dict[str, JsonValue]]:
    """Every account by path and resource, with what it was granted, has lent, and has left; null means no limit."""
    found: dict[AccountPath, Ledger] = {}
    for partition in partitions(at):
        found |= await at.backend.accounts.of(partition)
    return [
        {"account": path, "resource": name, "granted": one.granted, "lent": one.lent, "free": one.free}
        for path, ledger in sorted(found.items())
        for name, one in sorted(ledger.accounts.items())
    ]
