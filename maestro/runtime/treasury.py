"""What accounts and families have with each other, in steps that each may be repeated, and whoever finishes them.

Invariants: nobody is born, and nobody gets more, before his account has lent it; a step that was taken and not
confirmed is finished by the treasury, whoever began it; what is left of an ended family goes home to its account.
What is not here: the steps themselves (maestro.budget.accounts), and roots without an account, which owe nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from maestro.budget.accounts import AccountPath, Accounts, Slice
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, NotFound, StoreUnavailable
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.runtime.backend import Backend
from maestro.tick.steering import UNCHANGED
from maestro.tick.store import Birth

GRACE_MS = 30_000  # longer than any step takes that is not lost
UNSEEN = TimeMs(0)
"""In place of a time that only the store knows."""
Born = Callable[[BudgetVector], Birth]


async def start_funded(
    backend: Backend, path: AccountPath, cid: ContinuationId, asked: BudgetVector, born: Born
) -> None:
    """The root exists, with what its account has lent it.

    Args:
        born: the birth with a grant; what an account limits is limited in it.

    Raises:
        BudgetExceededError: some account of the path has not so much left.
        NotFound: there is no such account.
        Conflict: the name is somebody else's; nothing is lent.
    """
    accounts, key = backend.accounts, f"start:{cid}"
    lent = await accounts.lend(Slice(path, key, cid, "start", asked, UNSEEN), bounded=True)
    if lent is None:
        raise Conflict(f"the start of {cid} was given up", hint="start it anew")
    try:
        await backend.store.create(replace(born(lent), account=path))
    except StoreUnavailable:
        raise  # whether it is born nobody knows: the treasury finds out
    except Exception:
        await _settle_start(backend, path, key, cid)
        raise
    await accounts.close(path, key, taken=True)


async def grant_from(
    backend: Backend, path: AccountPath, cid: ContinuationId, more: BudgetVector, key: str, by: str
) -> Ledger:
    """The account has lent `more`, and the continuation has it; once per `key`.

    Raises:
        BudgetExceededError: some account of the path has not so much left.
        ContinuationAlreadyTerminalError: it has ended; nothing is lent.
    """
    asked = Slice(path, f"more:{cid}:{key}", cid, "more", more, UNSEEN)
    lent = await backend.accounts.lend(asked, bounded=False)
    if lent is None:  # closed before: this is a repetition, and changes nothing
        return await backend.steering.rebudget(cid, more, UNCHANGED, key, by=by)
    return await _give(backend, replace(asked, amount=lent), by)


@dataclass(slots=True)
class Treasury:
    """Finishes what was begun between accounts and families, and takes rests home."""

    backend: Backend
    grace_ms: int = GRACE_MS
    finished: int = 0
    """Slices that somebody else had begun."""
    returned: int = 0

    async def look(self) -> None:
        """Whatever is open for too long is finished, and whatever is owed is paid."""
        now_ms = await self.backend.clock.now_ms()
        for number in range(self.backend.partitions):
            for slice_ in await self.backend.accounts.open_slices(Partition(number)):
                if now_ms - slice_.lent_ms >= self.grace_ms:
                    await finish(self.backend, slice_)
                    self.finished += 1
            for cid in await self.backend.accounts.owing(Partition(number)):
                self.returned += await _pay(self.backend.accounts, cid)


async def finish(backend: Backend, slice_: Slice) -> None:
    """The family has its slice, or the account has it back."""
    if slice_.kind == "start":
        await _settle_start(backend, slice_.path, slice_.key, slice_.cid)
        return
    try:
        await _give(backend, slice_, by="account")
    except (ContinuationAlreadyTerminalError, NotFound):
        return  # it has ended meanwhile, and `_give` has taken the slice back


async def _settle_start(backend: Backend, path: AccountPath, key: str, cid: ContinuationId) -> None:
    """Either it is born, and its slice is its own, or it never will be."""
    taken = not await backend.accounts.void(cid)
    await backend.accounts.close(path, key, taken)


async def _give(backend: Backend, slice_: Slice, by: str) -> Ledger:
    _, _, key = slice_.key.split(":", 2)
    try:
        ledger = await backend.steering.rebudget(slice_.cid, slice_.amount, UNCHANGED, key, by=by)
    except (ContinuationAlreadyTerminalError, NotFound):
        await backend.accounts.close(slice_.path, slice_.key, taken=False)
        raise
    await backend.accounts.close(slice_.path, slice_.key, taken=True)
    return ledger


async def _pay(accounts: Accounts, cid: ContinuationId) -> int:
    """All that a family owes is its account's again; returns in how many parts."""
    parts = 0
    while (rest := await accounts.owed(cid)) is not None:
        await accounts.repay(rest)
        await accounts.repaid(rest)
        parts += 1
    return parts
