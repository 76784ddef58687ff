"""A process of callers at one purse: each adopts, reserves, is billed, settles and commits, until told to stop.

The bill is written to the provider's own book before anybody settles it, as a provider would. No more is promised of
this process than that it may be killed at any moment.

Run: python -m tests.contract.spender URL TENANT HOLDER BOOK CALLERS LIE   (bills are LIE times the price; 0 is honest)
"""

import asyncio
import os
import sys
from random import Random

from maestro.adapters.redis.backend import open_backend
from maestro.errors import BudgetExceededError
from maestro.ids import HolderId, Partition, TenantId
from maestro.runtime.backend import Backend
from maestro.tick.store import Adopted
from tests.contract.support import LEASE_MS, batch_of, intent, letter, money, tick_end

DEAREST = 600
IDLE_S, PATIENCE = 0.05, 20


async def call(backend: Backend, adopted: Adopted, luck: Random, book: int, lie: int) -> None:
    """One tick with one call, if there is money for it; woken again at once while there is."""
    price = luck.randrange(1, DEAREST)
    entry = intent(0, money(usd=price), call=f"{adopted.cid}/{adopted.epoch}")
    known = adopted.journal.get(0)
    try:
        entry = known or await backend.store.record(adopted.cid, adopted.epoch, entry, batch_of(adopted))
    except BudgetExceededError:
        await backend.store.commit(tick_end(adopted, wake=("budget",)))
        return
    if known is None:  # begun by one that was killed: whether it was billed is not known
        actual = entry.price["usd"] * lie if lie else luck.randrange(entry.price["usd"] + 1)
        os.write(book, f"{adopted.cid} {entry.call_id} {actual}\n".encode())
        await backend.journals.settle(adopted.cid, 0, entry.call_id, "ok", failed=False, charge=money(usd=actual))
    more = letter(id_=f"{adopted.cid}/{adopted.epoch}")  # of an id that no other process gives
    await backend.store.commit(tick_end(adopted, family_mail=((adopted.cid, more),)))


async def caller(backend: Backend, holder: HolderId, number: int, book: int, lie: int) -> None:
    """Calls until nobody has been ready for a while."""
    luck, idle = Random(f"{holder} {number}"), 0
    while idle < PATIENCE:
        adopted = await backend.store.adopt("default", holder, LEASE_MS, Partition(0))
        if adopted is None:
            idle += 1
            await asyncio.sleep(IDLE_S)
        else:
            idle = 0
            await call(backend, adopted, luck, book, lie)


async def spend(url: str, tenant: str, holder: str, path: str, callers: int, lie: int) -> None:
    book = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    backend = await open_backend(url, TenantId(tenant), 1, virtual=True)
    await asyncio.gather(*(caller(backend, HolderId(holder), number, book, lie) for number in range(callers)))
    await backend.close()


if __name__ == "__main__":
    url, tenant, holder, path, callers, lie = sys.argv[1:]
    asyncio.run(spend(url, tenant, holder, path, int(callers), int(lie)))
