"""Two hundred callers in processes that are killed, at one family's purse on a real Redis; the provider keeps a book.

Honest, it finds nothing overspent and nothing of its book missing in the ledgers. Lying, it overdraws each continuation
by one call at most, which then waits for money.
"""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.ids import ContinuationId, HolderId
from tests.contract.conftest import TENANT
from tests.contract.spender import DEAREST
from tests.contract.support import World, letter, money, tick_end

CALLERS, PROCESSES = 50, 4
MEMBERS, GRANT = 100, 1_500
KILL_AFTER = (80, 160)  # bills
LIE = 3
ROOT = Path(__file__).parents[2]


class Mob:
    """The processes of callers."""

    def __init__(self, url: str, book: Path, lie: int) -> None:
        self.arguments, self.book = (url, TENANT), book
        self.lie, self.running = lie, dict[HolderId, subprocess.Popen[bytes]]()

    def send(self, holder: str) -> None:
        command = [sys.executable, "-m", "tests.contract.spender", *self.arguments, holder, str(self.book)]
        self.running[HolderId(holder)] = subprocess.Popen([*command, str(CALLERS), str(self.lie)], cwd=ROOT)

    def kill_one(self) -> HolderId:
        holder = next(iter(self.running))
        process = self.running.pop(holder)
        assert process.poll() is None, "it had gone home before it could be killed"
        process.kill()
        process.wait(10)
        return holder

    def bills(self) -> list[tuple[str, str, int]]:
        lines = self.book.read_text().splitlines() if self.book.exists() else []
        return [(cid, call, int(amount)) for cid, call, amount in (line.split() for line in lines)]

    def await_bills(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.bills()) < count:
            assert time.monotonic() < deadline, f"{len(self.bills())} bills"
            time.sleep(0.02)

    def go_home(self) -> None:
        for process in self.running.values():
            assert process.wait(90) == 0


@pytest.fixture
def mobs() -> Iterator[list[Mob]]:
    mobs: list[Mob] = []
    yield mobs
    for process in (process for mob in mobs for process in mob.running.values()):
        if process.poll() is None:
            process.kill()
            process.wait(10)


@pytest.mark.spec("05.13")
@pytest.mark.shows("6.2")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("lie", [0, LIE], ids=["honest", "lying"])
@pytest.mark.parametrize("backend", [("redis", 1)], ids=["redis"], indirect=True)
async def test_no_kill_lets_a_caller_overdraw_more_than_one_call(
    world: World, redis_servers: dict[str, str], tmp_path: Path, mobs: list[Mob], lie: int
) -> None:
    world.overbilled = bool(lie)
    root, kids = await world.family(money(usd=MEMBERS * GRANT + 7), *[money(usd=GRANT)] * MEMBERS)
    for kid in kids:
        await world.backend.store.deliver(kid, letter())
    mob = Mob(redis_servers["redis"], tmp_path / "book", lie)
    mobs.append(mob)
    for number in range(PROCESSES):
        mob.send(f"mob/{number}")
    for extra, bills in enumerate(KILL_AFTER):
        mob.await_bills(bills)
        dead = mob.kill_one()
        await world.backend.leases.reclaim(dead, world.partition)
        mob.send(f"mob/{PROCESSES + extra}")
    mob.go_home()
    closed = await close_open_ticks(world)
    await (check_lied(world, kids, mob, closed) if lie else check_honest(world, kids, mob))
    assert (await world.ledger(root)).account("usd").free == 7, "no child draws on what is its parent's"


async def close_open_ticks(world: World) -> set[ContinuationId]:
    """What was in the hands of the killed when nobody looked any more ends, and is told: its outcome is unknown."""
    closed: set[ContinuationId] = set()
    while (adopted := await world.backend.store.adopt("default", HolderId("last"), 1_000, world.partition)) is not None:
        await world.backend.store.commit(tick_end(adopted))
        closed.add(adopted.cid)
    return closed


async def check_honest(world: World, kids: list[ContinuationId], mob: Mob) -> None:
    """Nobody is overdrawn, and all that was billed is in the books."""
    billed: defaultdict[str, int] = defaultdict(int)
    calls = [call for _, call, _ in mob.bills()]
    assert len(calls) == len(set(calls)) > max(KILL_AFTER), "each call was billed once"
    for cid, _, amount in mob.bills():
        billed[cid] += amount
    for kid in kids:
        ledger = await world.ledger(kid)
        account = ledger.account("usd")
        assert account.reserved == 0
        assert billed[kid] <= account.spent <= GRANT, (kid, account)
        assert account.spent - billed[kid] <= sum(price["usd"] for price in ledger.unknown.values())


async def check_lied(world: World, kids: list[ContinuationId], mob: Mob, closed: set[ContinuationId]) -> None:
    """Of each, one call at most was billed beyond what it had; then it was refused, and waits for money.

    Whom the test itself put to sleep (`closed`) asked for no further call, and was not refused one.
    """
    billed: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for cid, call, amount in mob.bills():
        billed[cid].append((call, amount))
    overdrawn = 0
    for kid in kids:
        ledger = await world.ledger(kid)
        account = ledger.account("usd")
        lost = {str(call): price["usd"] for call, price in ledger.unknown.items()}  # who knew the bill was killed
        assert sum(lost.get(call, amount) for call, amount in billed[kid][:-1]) < GRANT, "it called with nothing left"
        assert account.spent - GRANT <= (LIE - 1) * DEAREST
        overdrawn += account.spent > GRANT
        glance = await world.backend.records.glance(kid)
        assert glance is not None
        if account.spent > GRANT and kid not in closed:
            assert (glance.wake_keys, glance.ready_since_ms) == (("budget",), None), "it is not paused"
    assert overdrawn > MEMBERS // 10, "the provider did lie"
