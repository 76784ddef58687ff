"""What the tests of steering share: a family that keeps books, and a stage for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
import pytest
from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.finding import Finding
from maestro.continuation.mail import Mail
from maestro.continuation.merging import Merge, MergeBy
from maestro.ids import ContinuationId, Partition
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.merge import Merging
from tests.stage import Stage

NOTHING = BudgetVector({})


def usd(micros: int) -> BudgetVector:
    return BudgetVector({"usd": micros})


def longer(base: JsonValue, ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return max(str(ours), str(theirs), key=len)


class Ledgered(BaseModel):
    count: Annotated[int, Merge.SUM] = 0
    best: Annotated[int, Merge.MAX] = 0
    papers: Annotated[list[str], Merge.UNION] = []
    verdict: Annotated[str, MergeBy(longer)] = ""
    title: str = "untitled"
    limit: int = 1
    done: list[str] = []


class Family(Behaviour[Ledgered]):
    """Does what its mail says, so that a test can bring a family into any state."""

    cancel_deadline_ms = 50

    async def start(self, tick: Tick[Ledgered]) -> Closing | None:
        return Sleep.until_woken("told what to do")

    async def on_message(self, tick: Tick[Ledgered], message: Mail) -> Closing | None:
        asked: Any = message.body
        match message.subject:
            case "spawn":
                tick.spawn(Family, goal="a child", budget=BudgetVector(asked["budget"]), on_parent_end=asked["then"])
            case "set":
                tick.state = tick.state.model_copy(update=asked)
            case "report":
                tick.publish(Finding(title=asked))
            case "subscribe":
                tick.subscribe(asked)
                tick.set_timer("later", tick.now_ms + 1_000)
            case "finish":
                return Finish(result=asked)
            case "join":
                return Wait.children(*(ContinuationId(cid) for cid in asked))
            case "think":
                await tick.think("is it so?")
        return None

    async def on_child(self, tick: Tick[Ledgered], child: Mail) -> Closing | None:
        tick.state.done.append(child.child)
        return None

    async def on_cancel(self, tick: Tick[Ledgered]) -> None:
        if tick.state.title == "greedy":
            await tick.think("one more?")
        if tick.state.title == "slow":
            await asyncio.Event().wait()
        if tick.state.title == "broken":
            raise RuntimeError("no")
        tick.state.done.append("tidied")
        tick.publish(Finding(title="what is left of it"))

    async def on_merge(self, tick: Tick[Ledgered], merge: Merging) -> None:
        if "limit" in merge.open:
            merge.resolve("limit", 99)


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Family)
    yield stage
    await stage.audit()


async def tell(stage: Stage, cid: ContinuationId, subject: str, body: JsonValue = None) -> None:
    await verbs.send(stage.at, cid, body, subject)
    await stage.settle()


async def child_of(stage: Stage, parent: ContinuationId, budget: int, then: str = "linked") -> ContinuationId:
    before = set(await stage.all())
    await tell(stage, parent, "spawn", {"budget": {"usd": budget}, "then": then})
    (child,) = set(await stage.all()) - before
    return child


async def root(stage: Stage, budget: int = 1_000, **asked: Any) -> ContinuationId:
    cid = await stage.start(Family, budget=usd(budget), **asked)
    await stage.settle()
    return cid


async def facts(stage: Stage, kind: str) -> list[dict[str, Any]]:
    fed = [await stage.backend.records.feed(Partition(n), limit=10_000) for n in range(stage.backend.partitions)]
    return [body for batch in fed for fact in batch if (body := orjson.loads(fact.body))["type"] == kind]


async def granted(stage: Stage, cid: ContinuationId) -> int | None:
    return (await stage.ledger(cid)).account("usd").granted


async def whole(stage: Stage) -> int:
    """What all roots of books have: what people gave, wherever it is now."""
    glances = [await verbs.glance_of(stage.at, cid) for cid in await stage.all()]
    return sum(glance.ledger.account("usd").granted or 0 for glance in glances if glance.parent is None)
