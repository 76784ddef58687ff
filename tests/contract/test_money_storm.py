"""Two hundred callers at one family's purse at once, on a real Redis: the books balance after every single call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis

from maestro.adapters.redis.codec import ledger_of
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Status
from maestro.errors import BudgetExceededError
from maestro.ids import Epoch, HolderId
from maestro.tick.store import Adopted
from tests.contract.support import World, batch_of, child_birth, control, intent, money, tick_end

CALLERS, CALLS = 200, 4
MEMBERS, SPAWNERS = 16, 8
RESOURCES = ("usd", "tokens")
SNAPSHOT = """
local out = {}
for _, cid in ipairs(redis.call('ZRANGE', KEYS[1] .. ':all', 0, -1)) do
  local parent = redis.call('HGET', KEYS[1] .. ':x:' .. cid, 'pa')
  local ledger = redis.call('HGETALL', KEYS[1] .. ':b:' .. cid)
  out[#out + 1] = {cid, parent, ledger}
end
return out
"""


class Storm:
    """A family under attack, and what everybody has at one moment."""

    def __init__(self, world: World, above: Redis) -> None:
        self.world, self.backend, self.above = world, world.backend, above
        self.held: list[Adopted] = []
        self.looks = self.refused = 0
        self.given = {"usd": 100_000, "tokens": 50_000}
        self._keys: Any = self.backend.store._keys  # type: ignore[attr-defined]

    async def begin(self) -> None:
        grants = [money(usd=4_000, tokens=2_000)] * (MEMBERS + SPAWNERS)
        self.root, self.kids = await self.world.family(BudgetVector(self.given), *grants)
        for kid in self.kids[:MEMBERS]:
            self.held.append(await self.world.woken(kid))

    async def look(self) -> None:
        """One atomic look at every ledger of the partition."""
        place = self._keys.partition(self.world.partition)
        rows: Any = await self.above.eval(SNAPSHOT, 1, place)
        ledgers = {cid: ledger_of(flat) for cid, _, flat in rows}
        parents = {cid: parent for cid, parent, _ in rows}
        for cid, ledger in ledgers.items():
            self._balance(cid, ledger, [ledgers[kid] for kid, parent in parents.items() if parent == cid])
        self.looks += 1

    @staticmethod
    def _balance(cid: bytes, ledger: Ledger, children: list[Ledger]) -> None:
        for name in RESOURCES:
            account = ledger.account(name)
            assert account.free is not None, (cid, name)
            assert account.free >= 0, (cid, name, account)
            assert min(account.reserved, account.spent, account.lent) >= 0, (cid, name, account)
            assert account.reserved == sum(price[name] for price in ledger.reservations.values()), (cid, account)
            assert account.lent == sum(kid.account(name).granted or 0 for kid in children), (cid, name, account)

    async def call(self, number: int) -> None:
        luck = Random(number)
        acts: list[Callable[[Random, int], Awaitable[None]]] = [self.pay, self.pay, self.rebudget, self.spawn]
        for turn in range(CALLS):
            try:
                await acts[number % len(acts)](luck, number * 100 + turn)
            except BudgetExceededError:
                self.refused += 1
            await self.look()

    async def pay(self, luck: Random, ordinal: int) -> None:
        adopted = luck.choice(self.held)
        price = money(usd=luck.randrange(1, 800), tokens=luck.randrange(1, 400))
        entry = intent(ordinal, price)
        await self.backend.store.record(adopted.cid, adopted.epoch, entry, batch_of(adopted))
        await self.look()
        charge = BudgetVector({name: luck.randrange(amount + 1) for name, amount in price.items()})
        await self.backend.journals.settle(adopted.cid, ordinal, entry.call_id, "ok", luck.random() < 0.2, charge)

    async def rebudget(self, luck: Random, ordinal: int) -> None:
        cid = luck.choice([self.root, *self.kids])
        amount = money(**{luck.choice(RESOURCES): luck.randrange(3_000)})
        kind = luck.choice(("more", "less", "exactly"))
        asked = {"more": money(), "less": money(), kind: amount}
        await self.backend.steering.rebudget(cid, key=f"key-{ordinal}", **asked)  # type: ignore[arg-type]

    async def spawn(self, luck: Random, ordinal: int) -> None:
        kid = self.kids[MEMBERS + luck.randrange(SPAWNERS)]
        await self.backend.store.deliver(kid, control())
        adopted = await self.backend.store.adopt("default", HolderId(f"caller/{ordinal}"), 30_000, self.world.partition)
        if adopted is None:
            return
        grant = money(usd=luck.randrange(300), tokens=luck.randrange(200))
        ends = luck.random() < 0.3 and adopted.cid not in self.kids
        status = Status.COMPLETED if ends else Status.PENDING
        commit = tick_end(adopted, status=status, births=(child_birth(adopted, 0, grant),))
        try:
            await self.backend.store.commit(commit)
        except BudgetExceededError:
            await self.backend.store.commit(tick_end(adopted))
            raise


@pytest.fixture
async def above(request: pytest.FixtureRequest, redis_servers: dict[str, str]) -> AsyncIterator[Redis]:
    """Somebody who may run any script, which Maestro's own user may not."""
    kind, _ = request.node.callspec.params["backend"]
    async with Redis.from_url(redis_servers[kind], single_connection_client=True) as client:
        yield client


@pytest.mark.spec("01.10")
@pytest.mark.shows("3.6")
@pytest.mark.parametrize("backend", [("redis", 1), ("redis-6.2", 1)], ids=["redis", "redis-6.2"], indirect=True)
async def test_two_hundred_callers_overdraw_no_family_and_lose_not_a_micro(world: World, above: Redis) -> None:
    storm = Storm(world, above)
    await storm.begin()
    await asyncio.gather(*(storm.call(number) for number in range(CALLERS)))
    assert storm.looks >= CALLERS * CALLS
    assert storm.refused > 0, "the purse was too small for all of them"
    for adopted in storm.held:
        assert adopted.epoch == Epoch(2)
