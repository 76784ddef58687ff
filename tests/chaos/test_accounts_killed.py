"""Accounts under kill -9: starters, givers and keepers are processes that die at every step between account and family.

After each death the books are read from a real Redis, and balance in every resource.
"""

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from maestro.adapters.redis.backend import open_backend
from maestro.adapters.redis.codec import ledger_of
from maestro.budget.accounts import AccountPath, Slice
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.goal import GoalFrame
from maestro.ids import Partition, TenantId, TimeMs, new_continuation_id
from maestro.runtime import moneys, steer, verbs
from maestro.runtime.treasury import GRACE_MS, Treasury
from maestro.runtime.verbs import Start
from tests.chaos.arena import own_redis
from tests.chaos.patrons import SLICE, Patron, Reader, live
from tests.chaos.redis_server import OwnRedis
from tests.stage import Stage, conserved

ACCOUNT = AccountPath("acme/key-0/reading")
SLICES = 160
LIMIT = BudgetVector({name: SLICES * amount + amount // 2 for name, amount in SLICE.items()})
CROWD = 50
FATES: tuple[dict[str, Any], ...] = ({"dies": 30}, {"dies": 60, "after": True}, {"dies": 70}, {})
"""Of four crowds: among those who lend, among those who are born; each takes 70 steps whatever the others take."""
SIGKILLED = -9
SNAPSHOT = """
local out = {{}, {}}
for _, path in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':accts')) do
  table.insert(out[1], {path, redis.call('HGETALL', KEYS[1] .. ':acct:' .. path)})
end
for _, cid in ipairs(redis.call('ZRANGE', KEYS[1] .. ':all', 0, -1)) do
  local x = redis.call('HMGET', KEYS[1] .. ':x:' .. cid, 'pa', 'ac')
  table.insert(out[2], {cid, x[1] or '', x[2] or '', redis.call('HGETALL', KEYS[1] .. ':b:' .. cid)})
end
return out
"""
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.chaos.patrons"])


class Town:
    """A store with accounts, and the processes that come and go."""

    def __init__(self, redis: OwnRedis, stage: Stage, folder: Path) -> None:
        self.redis, self.stage, self.backend = redis, stage, stage.backend
        self.word = folder / "word"
        self.deaths: Counter[str] = Counter()
        self._running: list[Any] = []

    def send(self, act: Any, **fate: Any) -> Any:
        """A process has begun."""
        place = self.redis.url, self.backend.tenant, self.backend.partitions
        process = _FORK.Process(target=live, args=(Patron(*place, act, self.word, **fate),))
        process.start()
        self._running.append(process)
        return process

    async def ended(self, process: Any) -> bool:
        """It is gone; True when it was killed."""
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode in (0, SIGKILLED)
        if process.exitcode == SIGKILLED:
            self.deaths[self.word.read_text()] += 1
        return bool(process.exitcode)

    async def dies(self, act: Any, **fate: Any) -> bool:
        """Whether a process of that fate is killed; the books balance afterwards."""
        killed = await self.ended(self.send(act, **fate))
        await self.balance()
        return killed

    async def balance(self) -> None:
        """Every law of money holds of what is stored now; each partition is read in one step."""
        accounts: dict[str, Ledger] = {}
        families: dict[bytes, tuple[bytes, str, Ledger]] = {}
        keys: Any = self.backend.store._keys  # type: ignore[attr-defined]
        for partition in verbs.partitions(self.stage.at):
            told = await keys.wire.execute("EVAL", SNAPSHOT, 1, keys.partition(partition))
            accounts |= {path.decode(): ledger_of(fields) for path, fields in told[0]}
            families |= {cid: (parent, account.decode(), ledger_of(fields)) for cid, parent, account, fields in told[1]}
        for cid, (_, _, ledger) in families.items():
            conserved(ledger, [kid for parent, _, kid in families.values() if parent == cid])
        tops = [(account, ledger) for parent, account, ledger in families.values() if not parent]
        for path, books in accounts.items():
            self._of_account(
                path, books, accounts, [one for account, one in tops if f"{account}/".startswith(f"{path}/")]
            )

    @staticmethod
    def _of_account(path: str, books: Ledger, all_: dict[str, Ledger], families: list[Ledger]) -> None:
        below = [one for name, one in all_.items() if name.rpartition("/")[0] == path]
        for resource in SLICE.root:
            account = books.account(resource)
            assert (account.reserved, account.spent) == (0, 0), "an account lends, and does nothing else"
            assert account.free is None or account.free >= 0, (path, resource, account)
            assert sum(one.account(resource).granted or 0 for one in families) <= account.lent, (path, resource)
            assert not below or account.lent == sum(one.account(resource).lent for one in below), (path, resource)

    async def lent(self) -> dict[str, int]:
        lines = await moneys.account_lines(self.stage.at)
        return {str(line["resource"]): int(str(line["lent"])) for line in lines if line["account"] == "acme"}

    async def held(self) -> dict[str, int]:
        """What roots have or have spent; children are counted in them."""
        glances = [await verbs.glance_of(self.stage.at, cid) for cid in await self.stage.all()]
        roots = [one.ledger for one in glances if one.parent is None]
        return {name: sum(one.account(name).granted or 0 for one in roots) for name in SLICE.root}

    async def settled(self) -> None:
        """Everything that was begun is finished, and everything owed is paid."""
        await self.stage.advance(GRACE_MS)
        await Treasury(self.backend).look()
        await self.balance()
        assert await self.lent() == await self.held(), "not a micro is lent that nobody has"

    def close(self) -> None:
        for process in self._running:
            if process.is_alive():  # a test that failed leaves nobody behind
                process.kill()
                process.join(10)


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    yield from own_redis()


@pytest.fixture(params=[3])
async def town(request: pytest.FixtureRequest, redis: OwnRedis, tmp_path: Path) -> AsyncIterator[Town]:
    tenant = TenantId(request.node.name.partition("[")[0].replace("_", "-")[:60])
    backend = await open_backend(redis.url, tenant, request.param, virtual=True)
    town = Town(redis, Stage(backend, Reader), tmp_path)
    await moneys.grant_account(town.stage.at, "acme", LIMIT)
    yield town
    town.close()
    await town.stage.desk.drain()
    await backend.close()


@pytest.mark.spec("05.13")
@pytest.mark.shows("6.2")
@pytest.mark.timeout(300)
async def test_a_starter_or_giver_killed_at_any_step_costs_its_account_nothing(town: Town) -> None:
    assert not await town.dies("start")
    await town.stage.settle()
    (root,) = await town.stage.all()
    for after in (False, True):
        for act in ("start", "more"):
            for dies in count(1):
                if not await town.dies(act, dies=dies, after=after, cid=root):
                    break
                await town.stage.settle()
                await town.balance()
    assert set(town.deaths) == {"accounts.lend", "store.create", "accounts.close", "steering.rebudget"}
    await town.settled()
    assert (await town.stage.ledger(root)).account("usd").spent > 0
    await verbs.send(town.stage.at, root, None, "spawn")
    await town.stage.settle()
    for cid in await town.stage.all():
        await steer.kill(town.stage.at, cid)
    await town.stage.settle()
    await town.settled()
    spent = [(await town.stage.ledger(cid)).spent for cid in await town.stage.all()]
    assert await town.lent() == {name: sum(one[name] for one in spent) for name in SLICE.root}


@pytest.mark.spec("05.13")
@pytest.mark.shows("6.2")
@pytest.mark.timeout(300)
async def test_a_keeper_killed_at_any_step_has_paid_nothing_twice_and_lost_nothing(town: Town) -> None:
    for after in (False, True):
        for dies in count(1):
            await leave_work(town, f"{dies} {after}")
            await town.stage.advance(GRACE_MS)
            if not await town.dies("keep", dies=dies, after=after):
                break
    every = {"open_slices", "void", "close", "owing", "owed", "repay", "repaid"}
    assert set(town.deaths) == {f"accounts.{step}" for step in every} | {"steering.rebudget"}
    await town.settled()


async def leave_work(town: Town, key: str) -> None:
    """A start and a gift that nobody confirmed, and a family that has ended."""
    at, accounts = town.stage.at, town.backend.accounts
    for cid in await town.stage.all():
        await steer.kill(at, cid)
    await town.stage.settle()
    asked = Start(Reader.name, GoalFrame(goal="a test"), SLICE, account=ACCOUNT)
    heir, now_ms = await verbs.start(at, asked), TimeMs(await town.backend.clock.now_ms())
    lost = new_continuation_id(now_ms, Partition(1))
    await accounts.lend(Slice(ACCOUNT, f"start:{lost}", lost, "start", SLICE, now_ms), bounded=True)
    await accounts.lend(Slice(ACCOUNT, f"more:{heir}:{key}", heir, "more", SLICE, now_ms), bounded=False)
    await town.balance()


@pytest.mark.spec("05.13")
@pytest.mark.shows("6.2")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("town", [1], indirect=True, ids=["one partition"])
async def test_two_hundred_starters_whose_processes_are_killed_never_overdraw_their_tenant(town: Town) -> None:
    crowds = [town.send("crowd", count=CROWD, **fate) for fate in FATES]
    keepers = [town.send("keep on", count=30, dies=dies, grace_ms=0) for dies in (9, 0)]
    ends = [asyncio.create_task(town.ended(process)) for process in (*crowds, *keepers)]
    assert await looks(town, ends) > 0, "the books were read while they were at it"
    killed = await asyncio.gather(*ends)
    assert killed[: len(crowds)] == [True, True, True, False]
    await town.balance()
    await Treasury(town.backend, 0).look()  # what the dead left with nobody, also where both keepers were done before
    assert not await town.ended(town.send("crowd", count=SLICES))
    await town.settled()
    lent = await town.lent()
    assert all(0 <= LIMIT[name] - amount < SLICE[name] for name, amount in lent.items()), "they have met the limit"


async def looks(town: Town, ends: Sequence["asyncio.Task[bool]"]) -> int:
    """How often the books were read, and balanced, until all had ended.

    Only whoever waits for a process looks after it: of two that ask how it ended at once, multiprocessing tells one.
    """
    read = 0
    while not all(end.done() for end in ends):
        await town.balance()
        read += 1
    return read
