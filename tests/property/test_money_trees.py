"""Random families that spawn, grant, think, fork, merge, transfer, rebudget, kill, cancel and adopt, step by step.

In every resource, for everybody: granted = free + reserved + spent + lent, lent is what the children were granted,
nothing is overspent, and the sum of all is what people gave.
"""

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.adapters.memory.state import Row
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import BudgetExceededError, Conflict, InvalidInput
from maestro.ids import ContinuationId, drawn_from
from maestro.runtime import steer, verbs
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.runner import run
from tests.stage import Stage

COHORTS, TREES = 10, 100  # a thousand in all; each cohort is a test of its own, so that a loaded machine is given time
STEPS = 8
RESOURCES = ("usd", "tokens")
ROOT = {"usd": 40_000_000, "tokens": 400_000}
REFUSED = (BudgetExceededError, Conflict, InvalidInput)


class Branch(Behaviour[NoState]):
    """Spawns, grants, thinks and ends as it is told."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        asked: Any = message.body
        part = BudgetVector({name: int(free * asked) for name, free in tick.budget.items()}) if asked else None
        match message.subject.split():
            case ["spawn", then] if part is not None:
                tick.spawn(Branch, goal="more", budget=part, on_parent_end=then)  # type: ignore[arg-type]
            case ["grant", child] if part is not None:
                tick.grant(ContinuationId(child), part)
            case ["think"]:
                await tick.think("is it so?", max_output_tokens=10)
            case ["finish"]:
                return Finish()
        return None

    async def on_cancel(self, tick: Tick[NoState]) -> None:
        await tick.think("a last word", max_output_tokens=10)


class Family:
    """One tree, its books, and what people gave it."""

    def __init__(self, seed: int) -> None:
        self.luck = Random(seed)
        self.memory = empty_memory(1, ManualClock())
        self.stage = Stage(backend_over(self.memory), Branch)
        self.at = self.stage.at
        self.given = dict.fromkeys(RESOURCES, 0)
        self.steps = 0

    @property
    def rows(self) -> dict[ContinuationId, Row]:
        return self.memory.partitions[0].rows

    async def grow(self) -> None:
        await self.stage.start(Branch, budget=BudgetVector(ROOT))
        self.given = dict(ROOT)
        await self.settle()
        for _ in range(STEPS):
            with suppress(*REFUSED):
                await self.step()
            self.check()
            await self.settle()

    async def settle(self) -> None:
        while (adopted := await self.stage.adopt()) is not None:
            await self.stage.write(adopted, await run(adopted, self.stage.around))
            self.check()

    async def step(self) -> None:
        living = [row.cid for row in self.rows.values() if not row.terminal]
        if not living:
            return
        cid, other = self.luck.choice(living), self.luck.choice(living)
        share = self.luck.choice((0.0, 0.1, 0.5, 1.0))
        children = self.luck.choice((None, "stop", "orphan", "adopt"))
        match self.luck.choices(ACTS, WEIGHTS)[0]:
            case "spawn":
                await self.tell(cid, f"spawn {self.luck.choice(('linked', 'detached', 'adopt_up'))}", share)
            case "grant":
                kids = [row.cid for row in self.rows.values() if row.parent == cid and not row.terminal]
                await self.tell(cid, f"grant {self.luck.choice(kids)}" if kids else "think", share)
            case "fork":
                await steer.fork(self.at, cid, share=share)
            case "merge":
                await steer.merge(self.at, [other], cid)
            case "transfer":
                part = BudgetVector({name: int(free * share) for name, free in self.rows[cid].ledger.free.items()})
                await self.at.backend.steering.transfer(cid, other, part, f"step-{self.steps}")
            case "rebudget":
                await self.rebudget(cid)
            case "kill":
                await steer.kill(self.at, cid, children=children)
            case "cancel":
                await steer.cancel(self.at, cid, children=children)
            case act:
                await self.tell(cid, act)

    async def tell(self, cid: ContinuationId, subject: str, body: float | None = None) -> None:
        await verbs.send(self.at, cid, body, subject)

    async def rebudget(self, cid: ContinuationId) -> None:
        name, amount = self.luck.choice(RESOURCES), self.luck.randrange(1_000_000)
        before = self.rows[cid].ledger.account(name).granted or 0
        kind = self.luck.choice(("more", "less", "exactly"))
        ledger = await steer.rebudget(self.at, cid, **{kind: BudgetVector({name: amount})})  # type: ignore[arg-type]
        self.given[name] += (ledger.account(name).granted or 0) - before

    def check(self) -> None:
        self.steps += 1
        lent = {cid: dict.fromkeys(RESOURCES, 0) for cid in self.rows}
        whole = dict.fromkeys(RESOURCES, 0)
        for row in self.rows.values():
            above = whole if row.parent is None else lent[row.parent]
            for name in RESOURCES:
                above[name] += row.ledger.account(name).granted or 0
        for row in self.rows.values():
            for name in RESOURCES:
                account = row.ledger.account(name)
                assert account.free is not None, (row.cid, name)
                assert account.free >= 0, (row.cid, name, account)
                assert min(account.reserved, account.spent, account.lent) >= 0, (row.cid, name, account)
                assert account.lent == lent[row.cid][name], (row.cid, name, account)
                assert account.reserved == sum(p[name] for p in row.ledger.reservations.values()), (row.cid, account)
        assert whole == self.given


ACTS = ("spawn", "grant", "think", "fork", "merge", "transfer", "rebudget", "kill", "cancel", "finish")
WEIGHTS = (30, 8, 10, 12, 10, 10, 12, 6, 6, 6)


@pytest.mark.spec("01.10")
@pytest.mark.shows("3.6")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cohort", range(COHORTS))
async def test_the_books_balance_after_every_step_of_a_thousand_trees(cohort: int) -> None:
    steps, sizes = 0, []
    for seed in range(cohort * TREES, (cohort + 1) * TREES):
        with drawn_from(Random(seed).getrandbits):
            family = Family(seed)
            await family.grow()
        steps += family.steps
        sizes.append(len(family.rows))
    assert steps > 10 * TREES, "each step was looked at"
    assert max(sizes) >= 5, "there were trees, and not only roots"
