"""A quota of three questions a day: three are asked, the rest are a digest, and are asked when the next day begins."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.adapters.duckdb.reader import asked
from maestro.budget.vector import BudgetVector
from maestro.client import Maestro
from maestro.continuation.bounds import Bounds
from maestro.continuation.directive import Closing, Finish, Wait
from maestro.continuation.mail import Mail
from maestro.continuation.wait import ApprovalResolution, BudgetGrant, parts
from maestro.errors import ContinuationInvalidInputError, NotificationFailed
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.attention import Digest
from maestro.runtime.backend import Backend
from maestro.runtime.digests import LOOK_MS, Digests
from maestro.runtime.warehousing import fresh
from maestro.tick.attention import DAY_MS
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.warehouse.stock import BEGINNING
from tests.stage import PLENTY, Stage

RAN: list[str] = []
WANTED = 5


class Curious(Behaviour[NoState]):
    """Asks one question after another, then two at once."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        RAN.clear()
        return tick.ask_approval("question 1")

    async def on_approval(self, tick: Tick[NoState], approval: Mail) -> Closing | None:
        RAN.append(approval.subject)
        number = len(RAN) + 1
        if number == WANTED + 1:
            return Finish()
        if number == 4:
            return Wait.any_of(tick.ask_approval("question 4"), tick.ask_approval("or this one"))
        return tick.ask_approval(f"question {number}")


class Desk:
    """Whoever reads digests; the first is lost on its way."""

    def __init__(self) -> None:
        self.read: list[Digest] = []
        self.away = True

    async def digest(self, digest: Digest) -> None:
        if self.away:
            self.away = False
            raise NotificationFailed("nobody is there", hint="planted")
        self.read.append(digest)


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Curious)
    await to_next_day(stage)
    yield stage
    await stage.audit()


async def to_next_day(stage: Stage) -> None:
    now_ms = await stage.backend.clock.now_ms()
    await stage.advance(DAY_MS - now_ms % DAY_MS)
    await stage.settle()


async def open_approvals(stage: Stage, cid: ContinuationId) -> list[ApprovalResolution]:
    wait = (await stage.checkpoint(cid)).wait
    return [part for part in parts(wait) if isinstance(part, ApprovalResolution)] if wait is not None else []


async def answered(stage: Stage, cid: ContinuationId) -> int:
    """How many questions were put to people until none is open."""
    asked = 0
    while approvals := await open_approvals(stage, cid):
        asked += 1
        await verbs.decide(stage.at, cid, approvals[0].approval_id, approved=True)
        await stage.settle()
    return asked


async def digests(stage: Stage, desk: Desk | None = None) -> Sequence[dict[str, Any]]:
    """What is told of as an event, the newest first; two tell it, and look often."""
    tellers = [Digests(stage.backend, desk), Digests(stage.backend)]
    for _ in range(3):
        for teller in tellers:
            await teller.look()
        await stage.advance(LOOK_MS)
    lists = [await stage.backend.records.events(partition) for partition in verbs.partitions(stage.at)]
    events = {event["id"]: event for events in lists for event in map(orjson.loads, events)}.values()
    return [event["payload"] for event in events if event["type"] == "attention.digest"]


@pytest.mark.spec("05.1")
async def test_three_questions_are_asked_a_day_and_the_others_are_a_digest(stage: Stage) -> None:
    cid = await stage.start(Curious, bounds=Bounds(asks_per_day=3), budget=PLENTY)
    await stage.settle()
    assert await answered(stage, cid) == 3
    wait = (await stage.checkpoint(cid)).wait
    assert wait is not None
    assert [type(part) for part in parts(wait)] == [BudgetGrant, BudgetGrant]
    desk = Desk()
    (digest,) = await digests(stage, desk)
    assert [read.model_dump(mode="json") for read in desk.read] == [digest], "people are told, though not at once"
    assert [question["question"] for question in digest["questions"]] == ["approve: or this one", "approve: question 4"]
    assert {question["continuation"] for question in digest["questions"]} == {cid}

    await stage.advance(DAY_MS - 1_000_000)
    await stage.settle()
    assert await open_approvals(stage, cid) == [], "the day is not over"
    await to_next_day(stage)
    assert len(await open_approvals(stage, cid)) == 2
    assert len(RAN) == 3, "they are asked without a line of its code"
    assert await answered(stage, cid) == 2
    assert (await stage.checkpoint(cid)).terminal
    assert len(await digests(stage)) == 1, "nobody waits for attention any more"


async def test_a_grant_buys_no_more_questions_than_the_day_has(stage: Stage) -> None:
    budget = PLENTY + BudgetVector({"human.approvals": 1})
    cid = await stage.start(Curious, bounds=Bounds(asks_per_day=2), budget=budget)
    await stage.settle()
    assert await answered(stage, cid) == 1, "the ledger has one"
    await verbs.rebudget(stage.at, cid, BudgetVector({"human.approvals": 9}), BudgetVector({}))
    await stage.settle()
    assert await answered(stage, cid) == 1, "the day has one more"
    assert (await stage.ledger(cid)).account("human.approvals").spent == 2
    await to_next_day(stage)
    assert len(await open_approvals(stage, cid)) == 1


async def test_each_question_that_was_asked_is_charged_and_a_row_and_no_other(stage: Stage, tmp_path: Path) -> None:
    budget = PLENTY + BudgetVector({"human.approvals": 10})
    stage.at = replace(stage.at, asks_per_day=3)
    cid = await stage.start(Curious, budget=budget)
    await stage.settle()
    assert await answered(stage, cid) == 3, "the installation's quota is that of whoever names none"
    rows = await fresh(stage.backend, dict.fromkeys(verbs.partitions(stage.at), BEGINNING))
    requests = "select continuation, resource, sum(units)::int, count(*) from fact_human_request group by all"
    told = asked(tmp_path, rows, requests)
    assert told.rows == ((cid, "human.approvals", 3, 3),)
    account = (await stage.ledger(cid)).account("human.approvals")
    assert (account.spent, account.free) == (3, 7)


async def test_without_a_quota_of_the_day_nothing_is_counted(stage: Stage) -> None:
    cid = await stage.start(Curious, budget=PLENTY)
    await stage.settle()
    assert await answered(stage, cid) == WANTED
    checkpoint = await stage.checkpoint(cid)
    assert (checkpoint.asked_on_day, checkpoint.asks_that_day) == (0, 0)
    assert await digests(stage) == []


def test_a_quota_of_none_is_refused_by_name() -> None:
    with pytest.raises(ContinuationInvalidInputError) as refused:
        Bounds(asks_per_day=0)
    assert refused.value.field == "bounds.asks_per_day"


class Modest(Curious):
    """Says by itself how often it asks."""

    name = "modest"
    asks_per_day = 1


async def test_a_kind_or_whoever_starts_it_says_how_often_a_day_it_asks(stage: Stage) -> None:
    stage.at = replace(stage.at, asks_per_day=9)
    client = Maestro(stage.at)
    for kind, from_, expected in (
        (Modest, client, 1),
        (Curious, client, 9),
        (Curious, client.drawing_on(asks_per_day=3), 3),
    ):
        handle = await from_.astart(kind, goal="a test")
        assert (await stage.checkpoint(handle.id)).bounds.asks_per_day == expected
