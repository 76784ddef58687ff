"""Steering on every store: ends, branches, merges, standstill and money, told with behaviours that really tick."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
import pytest
from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.finding import Finding
from maestro.continuation.lifecycle import STOP_STATUS, Hold, Status
from maestro.continuation.lineage import forked
from maestro.continuation.mail import Control, Mail
from maestro.continuation.merging import Merge, MergeBy
from maestro.errors import BudgetExceededError, Conflict, ContinuationAlreadyTerminalError, InvalidInput
from maestro.ids import ContinuationId, Partition, Rev, TimeMs, new_continuation_id, partition_of
from maestro.runtime import steer, verbs
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour
from maestro.tick.birth import born
from maestro.tick.context import Tick
from maestro.tick.merge import Merging
from maestro.tick.runner import run
from tests.stage import SEAL, Stage

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


# ---------------------------------------------------------------- stop


@pytest.mark.spec("01.7")
@pytest.mark.parametrize("reason", [*STOP_STATUS, "max_attempts_exceeded", "harness_error", "budget_exhausted", "mine"])
async def test_every_reason_to_stop_leaves_its_status_and_a_second_stop_changes_nothing(
    stage: Stage, reason: str
) -> None:
    cid = await root(stage)
    await steer.stop(stage.at, cid, reason)
    await stage.settle()
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason) == (STOP_STATUS.get(reason, Status.FAILED), reason)
    again = await steer.stop(stage.at, cid, "cancelled_by_user")
    await stage.settle()
    assert again == ended == await stage.checkpoint(cid)


@pytest.mark.spec("01.7")
async def test_a_stop_ends_timers_subscriptions_reservations_and_children(stage: Stage) -> None:
    cid = await root(stage)
    await tell(stage, cid, "subscribe", "arxiv.>")
    child = await child_of(stage, cid, 300)
    await steer.stop(stage.at, cid, "cancelled_by_product")
    await stage.settle()
    assert await stage.publish("arxiv.cs", "a paper") == 0
    await stage.advance(2_000)
    await stage.settle()
    ended, ledger = await stage.checkpoint(cid), await stage.ledger(cid)
    assert (ended.timers, ended.interests, ledger.reservations) == ({}, (), {})
    assert await stage.total("timers") == 0
    stopped = await stage.checkpoint(child)
    assert (stopped.status, stopped.stop_reason) == (Status.CANCELLED, "cancelled_by_product")


async def test_an_order_is_carried_out_once_per_key_and_is_a_fact(stage: Stage) -> None:
    cid = await root(stage)
    await steer.freeze(stage.at, cid)
    for _ in range(2):
        await steer.cancel(stage.at, cid, key="k", by="ada")
    told = [fact for fact in await facts(stage, "ordered") if fact["cid"] == cid]
    assert [(fact["order"], fact["by"]) for fact in told] == [("cancel", "ada")]


# ---------------------------------------------------------------- what becomes of children


async def test_a_detached_child_lives_on_with_its_money(stage: Stage) -> None:
    parent = await root(stage, 1_000)
    child = await child_of(stage, parent, 300, "detached")
    before = await whole(stage)
    await tell(stage, parent, "finish")
    assert (await stage.checkpoint(child)).parent is None
    assert (await granted(stage, child), await granted(stage, parent)) == (300, 700)
    assert await whole(stage) == before
    await tell(stage, child, "finish")
    assert await granted(stage, parent) == 700, "what it had stays its own, at its end too"


async def test_an_adopted_child_has_its_grandparent_as_its_parent(stage: Stage) -> None:
    top = await root(stage, 1_000)
    middle = await child_of(stage, top, 600)
    child = await child_of(stage, middle, 300, "adopt_up")
    await tell(stage, middle, "finish")
    assert (await stage.checkpoint(child)).parent == top
    assert (await stage.checkpoint(top)).children[child].status is Status.PENDING
    ledger = (await stage.ledger(top)).account("usd")
    assert (ledger.granted, ledger.lent, ledger.free) == (1_000, 300, 700)
    await tell(stage, child, "finish")
    assert (await stage.ledger(top)).account("usd").free == 1_000
    assert child in (await stage.state(top))["done"], "its new parent is told of its end"


async def test_a_child_of_a_root_that_would_go_up_is_detached(stage: Stage) -> None:
    parent = await root(stage)
    child = await child_of(stage, parent, 300, "adopt_up")
    await tell(stage, parent, "finish")
    assert (await stage.checkpoint(child)).parent is None


async def test_a_child_goes_past_ancestors_that_have_ended(stage: Stage) -> None:
    top = await root(stage, 1_000)
    second = await child_of(stage, top, 800)
    third = await child_of(stage, second, 600, "linked")
    child = await child_of(stage, third, 300, "adopt_up")
    await tell(stage, second, "finish")  # third is stopped with it
    assert (await stage.checkpoint(third)).terminal
    assert (await stage.checkpoint(child)).parent == top
    assert (await stage.ledger(top)).account("usd").free == 700


async def test_a_parent_that_ends_as_a_child_is_adopted_takes_care_of_it(stage: Stage) -> None:
    top = await root(stage, 1_000)
    middle = await child_of(stage, top, 600)
    child = await child_of(stage, middle, 300, "adopt_up")
    await steer.kill(stage.at, top, children="stop")
    ending = await stage.taken()
    assert ending.cid == top
    await verbs.send(stage.at, middle, None, "finish")
    await stage.settle()
    await stage.write(ending, await run(ending, stage.around))
    await stage.settle()
    assert (await stage.checkpoint(top)).terminal
    assert (await stage.checkpoint(child)).status is Status.CANCELLED


@pytest.mark.parametrize(("children", "status"), [("stop", Status.CANCELLED), ("orphan", Status.PENDING)])
async def test_a_stop_says_what_becomes_of_the_children(stage: Stage, children: str, status: Status) -> None:
    parent = await root(stage)
    kids = [await child_of(stage, parent, 100, then) for then in ("linked", "detached", "adopt_up")]
    before = await whole(stage)
    await steer.stop(stage.at, parent, children=children)
    await stage.settle()
    assert [(await stage.checkpoint(kid)).status for kid in kids] == [status] * 3
    assert await whole(stage) == before


async def test_a_stop_may_leave_the_children_to_the_grandparent(stage: Stage) -> None:
    top = await root(stage)
    middle = await child_of(stage, top, 600)
    child = await child_of(stage, middle, 100)
    await steer.kill(stage.at, middle, children="adopt")
    await stage.settle()
    assert (await stage.checkpoint(child)).parent == top
    with pytest.raises(InvalidInput):
        await steer.kill(stage.at, top, children="sell")


# ---------------------------------------------------------------- cancel and kill


async def test_a_cancel_lets_it_clean_up_and_then_ends_it(stage: Stage) -> None:
    cid = await root(stage)
    await steer.cancel(stage.at, cid)
    await stage.settle()
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason) == (Status.CANCELLED, "cancelled_by_user")
    assert ended.state["done"] == ["tidied"]  # type: ignore[index, call-overload]
    assert [orjson.loads(f)["title"] for f in await stage.backend.records.findings(cid)] == ["what is left of it"]


@pytest.mark.parametrize("title", ["slow", "broken", "greedy"])
async def test_a_clean_up_that_hangs_fails_or_costs_too_much_is_ended_all_the_same(stage: Stage, title: str) -> None:
    cid = await root(stage, 1)  # a model call costs more than that
    await tell(stage, cid, "set", {"title": title})
    await steer.cancel(stage.at, cid)
    await stage.settle()
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.state["done"]) == (Status.CANCELLED, [])  # type: ignore[index, call-overload]


async def test_a_clean_up_spends_no_more_than_its_own_budget(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    cid = await root(stage, 10_000_000)
    await tell(stage, cid, "set", {"title": "greedy"})
    monkeypatch.setattr(Family, "cancel_budget", usd(1))
    await steer.cancel(stage.at, cid)
    await stage.settle()
    assert ((await stage.checkpoint(cid)).status, stage.model.asked) == (Status.CANCELLED, 0)
    monkeypatch.undo()
    other = await root(stage, 10_000_000)
    await tell(stage, other, "set", {"title": "greedy"})
    monkeypatch.setattr(Family, "cancel_budget", usd(5_000_000))
    monkeypatch.setattr(Family, "cancel_deadline_ms", 30_000)
    await steer.cancel(stage.at, other)
    await stage.settle()
    assert (await stage.state(other))["done"] == ["tidied"]
    assert stage.model.asked == 1


async def test_a_kill_goes_before_a_cancel_and_runs_no_code(stage: Stage) -> None:
    cid = await root(stage)
    await steer.cancel(stage.at, cid)
    await steer.kill(stage.at, cid)
    await stage.settle()
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.state["done"]) == (Status.CANCELLED, [])  # type: ignore[index, call-overload]


@pytest.mark.parametrize("brake", [False, True])
async def test_a_kill_waits_for_no_thaw(stage: Stage, brake: bool) -> None:
    before, after, bystander = await root(stage), await root(stage), await root(stage)
    await verbs.order(stage.at, bystander, Control.WAKE)
    await steer.kill(stage.at, before)
    if brake:
        await steer.freeze_all(stage.at)
    else:
        for cid in (before, after, bystander):
            await steer.freeze(stage.at, cid)
    await steer.kill(stage.at, after)
    await stage.settle()
    assert [(await stage.checkpoint(cid)).status for cid in (before, after)] == [Status.CANCELLED] * 2
    assert (await stage.view(bystander)).glance.rev == 1, "who is not to be killed stays frozen"


async def test_a_cancel_of_a_frozen_one_waits_for_the_thaw(stage: Stage) -> None:
    cid = await root(stage)
    await steer.freeze(stage.at, cid)
    await steer.cancel(stage.at, cid)
    await stage.settle()
    assert (await stage.checkpoint(cid)).status is Status.PENDING
    await steer.thaw(stage.at, cid)
    await stage.settle()
    assert (await stage.state(cid))["done"] == ["tidied"]


# ---------------------------------------------------------------- freeze and thaw


async def test_a_frozen_tree_holds_still_with_all_that_are_born_to_it(stage: Stage) -> None:
    top = await root(stage)
    child = await child_of(stage, top, 100)
    grandchild = await child_of(stage, child, 10)
    await verbs.send(stage.at, child, {"budget": {"usd": 5}, "then": "linked"}, "spawn")
    begun = await stage.taken()
    assert begun.cid == child
    await steer.freeze(stage.at, top, tree=True, reason="too loud", by="ada")
    await stage.write(begun, await run(begun, stage.around))
    await stage.settle()
    (newborn,) = set(await stage.all()) - {top, child, grandchild}
    for cid in (top, child, grandchild, newborn):
        assert "frozen with its tree by ada at " in await stage.why(cid)
        assert (await stage.why(cid)).split(";")[0].endswith(" ms: too loud")
    assert (await stage.view(newborn)).glance.rev == 0
    await steer.thaw(stage.at, top, tree=True)
    await stage.settle()
    assert (await stage.view(newborn)).glance.rev == 1
    assert not any([(await stage.view(cid)).glance.frozen for cid in await stage.all()])


async def test_the_brake_stops_adoptions_until_it_is_let_go(stage: Stage) -> None:
    cid, other = await root(stage), await root(stage)
    await verbs.send(stage.at, cid, {"title": "under way"}, "set")
    begun = await stage.taken()
    await verbs.send(stage.at, other, {"title": "queued"}, "set")
    assert await steer.freeze_all(stage.at, by="ada", reason="a fire") is True
    assert await steer.freeze_all(stage.at, by="bob") is False
    await stage.write(begun, await run(begun, stage.around))
    await stage.settle()
    assert (await stage.state(cid))["title"] == "under way", "a tick under way ends"
    assert (await stage.state(other))["title"] == "untitled"
    assert "everything is frozen by ada at " in await stage.why(other)
    assert await steer.thaw_all(stage.at) is True
    await stage.settle()
    assert (await stage.state(other))["title"] == "queued"
    assert await steer.thaw_all(stage.at) is False
    scopes = [fact["scope"] for fact in [*await facts(stage, "frozen"), *await facts(stage, "thawed")]]
    assert scopes == ["all"] * 2 * stage.backend.partitions


async def test_what_was_frozen_by_itself_stays_so_when_the_brake_is_let_go(stage: Stage) -> None:
    cid = await root(stage)
    await steer.freeze(stage.at, cid)
    await steer.freeze_all(stage.at)
    await steer.thaw_all(stage.at)
    await verbs.order(stage.at, cid, Control.WAKE)
    await stage.settle()
    assert (await stage.view(cid)).glance.rev == 1


async def test_a_thaw_lifts_a_hold(stage: Stage) -> None:
    stage.around = stage.surroundings()
    cid = await stage.start(Family)
    await stage.settle()
    assert (await stage.view(cid)).glance.hold is Hold.UNSERVABLE
    stage.around = stage.surroundings(Family)
    assert await steer.thaw(stage.at, cid) == 1
    await stage.settle()
    assert (await stage.view(cid)).glance.hold is None
    assert await steer.thaw(stage.at, cid) == 0


# ---------------------------------------------------------------- money


@pytest.mark.spec("01.10")
async def test_a_budget_is_set_or_changed_and_never_below_what_is_used(stage: Stage) -> None:
    top = await root(stage, 1_000)
    child = await child_of(stage, top, 300)
    assert (await steer.rebudget(stage.at, child, exactly=usd(500), key="k")).granted == usd(500)
    assert (await steer.rebudget(stage.at, child, exactly=usd(400), key="k")).granted == usd(500), "once per key"
    assert (await stage.ledger(top)).account("usd").free == 700
    with pytest.raises(BudgetExceededError):
        await steer.rebudget(stage.at, top, exactly=usd(499))
    assert (await steer.rebudget(stage.at, top, exactly=usd(500))).free == usd(0)
    told = [(fact["cid"], fact["change"]) for fact in await facts(stage, "rebudgeted")]
    assert told == [(child, {"usd": 200}), (top, {"usd": -700})]


@pytest.mark.spec("01.10")
async def test_who_sleeps_for_want_of_money_goes_on_when_its_budget_is_set(stage: Stage) -> None:
    cid = await root(stage, 1)
    await tell(stage, cid, "think")
    assert "waiting on budget" in await stage.why(cid)
    await steer.rebudget(stage.at, cid, exactly=usd(50_000_000))
    await stage.settle()
    assert stage.model.asked == 1


# ---------------------------------------------------------------- supersede


@pytest.mark.spec("01.16")
async def test_a_second_of_one_name_is_refused_and_with_supersede_the_first_is_superseded(stage: Stage) -> None:
    first = await root(stage, name="turn-1")
    with pytest.raises(Conflict):
        await root(stage, name="turn-1")
    second = await root(stage, name="turn-1", supersede=True)
    old = await stage.checkpoint(first)
    assert (old.status, old.stop_reason) == (Status.SUPERSEDED, "superseded_by_newer_turn")
    assert await verbs.find(stage.at, "turn-1") == second
    assert [fact["cid"] for fact in await facts(stage, "ordered")] == [first]


# ---------------------------------------------------------------- fork


@pytest.mark.spec("01.10")
async def test_a_fork_of_now_has_the_unread_mail_and_a_fork_of_the_past_has_none(stage: Stage) -> None:
    origin = await root(stage, 1_000)
    await tell(stage, origin, "set", {"title": "one"})
    await steer.freeze(stage.at, origin)
    await verbs.send(stage.at, origin, {"title": "two"}, "set")
    now, past = await steer.fork(stage.at, origin), await steer.fork(stage.at, origin, rev=1, share=0.2)
    await stage.settle()
    assert (await stage.state(now))["title"] == "two"
    assert (await stage.state(past))["title"] == "untitled"
    assert (await stage.checkpoint(now)).forked_from.rev == 2  # type: ignore[union-attr]
    assert [await granted(stage, cid) for cid in (origin, now, past)] == [400, 500, 100]
    assert {fact["cid"] for fact in await facts(stage, "forked")} == {now, past}


async def test_a_fork_is_made_once_per_key(stage: Stage) -> None:
    origin = await root(stage, 1_000)
    forks = [await steer.fork(stage.at, origin, key="k") for _ in range(3)]
    await stage.settle()
    assert len(set(forks)) == 1
    assert await granted(stage, origin) == 500


async def test_a_fork_of_now_that_has_moved_is_refused(stage: Stage) -> None:
    origin = await root(stage, 1_000)
    glance = await verbs.glance_of(stage.at, origin)
    fork_id = new_continuation_id(TimeMs(1), partition_of(origin))
    first = forked(await stage.checkpoint(origin), Rev(glance.rev), fork_id, TimeMs(1))
    await verbs.order(stage.at, origin, Control.WAKE)
    await stage.settle()
    with pytest.raises(Conflict):
        await stage.backend.steering.fork(origin, born(first, usd(1), SEAL), "", Rev(glance.rev))
    assert await stage.backend.records.glance(first.id) is None


# ---------------------------------------------------------------- merge


@pytest.mark.spec("01.10")
async def test_forks_merge_by_the_laws_of_their_state(stage: Stage) -> None:
    origin = await root(stage, 1_000)
    await tell(stage, origin, "set", {"count": 10, "best": 3, "papers": ["a", "b"]})
    await tell(stage, origin, "report", "what both know")
    forks = [await steer.fork(stage.at, origin, share=0.25) for _ in range(2)]
    await stage.settle()
    await tell(stage, forks[0], "set", {"count": 12, "papers": ["a", "c"], "verdict": "yes", "title": "a title"})
    await tell(stage, forks[1], "set", {"count": 11, "best": 9, "papers": ["a", "b", "d"], "verdict": "certainly"})
    await tell(stage, forks[0], "report", "only here")
    await tell(stage, forks[1], "report", "what both know")
    before = await whole(stage)
    assert list(await steer.merge(stage.at, forks, origin)) == forks
    await stage.settle()
    merged = await stage.state(origin)
    merged["papers"].sort()  # the forks end in the same millisecond: either may come first
    assert merged == {
        "count": 13,
        "best": 9,
        "papers": ["a", "c", "d"],
        "verdict": "certainly",
        "title": "a title",
        "limit": 1,
        "done": [],
    }
    for fork in forks:
        ended = await stage.checkpoint(fork)
        assert (ended.status, ended.stop_reason, ended.stop_detail) == (
            Status.COMPLETED,
            "completed",
            f"merged:{origin}",
        )
        assert await granted(stage, fork) == 0
    assert (await granted(stage, origin), await whole(stage)) == (1_000, before)
    titles = [orjson.loads(finding)["title"] for finding in await stage.backend.records.findings(origin)]
    assert titles == ["what both know", "only here"]
    assert list(await steer.merge(stage.at, forks, origin)) == [], "merged already"


async def test_a_conflict_is_a_question_and_the_answer_decides(stage: Stage) -> None:
    origin = await root(stage)
    fork = await steer.fork(stage.at, origin)
    await stage.settle()
    await tell(stage, origin, "set", {"title": "ours", "limit": 2})
    await tell(stage, fork, "set", {"title": "theirs", "limit": 3})
    await steer.merge(stage.at, [fork], origin)
    await stage.settle()
    merged = await stage.state(origin)
    assert (merged["title"], merged["limit"]) == ("ours", 99), "nothing is overwritten; the hook decided on the limit"
    (open_,) = (await stage.checkpoint(origin)).disagreements
    assert (open_.source, open_.field, open_.ours, open_.theirs) == (fork, "title", "ours", "theirs")
    (asked,) = (
        (await stage.backend.records.waiting(Partition(0))).values()
        if stage.backend.partitions == 1
        else ([body for n in range(3) for body in (await stage.backend.records.waiting(Partition(n))).values()])
    )
    assert orjson.loads(asked)["asked"][0]["type"] == "disagreement"
    assert "title is 'ours' here and 'theirs' there" in await stage.why(origin)
    await verbs.reply(stage.at, origin, "theirs")
    await stage.settle()
    assert (await stage.state(origin))["title"] == "theirs"
    assert (await stage.checkpoint(origin)).disagreements == ()
    assert (await stage.why(origin)).startswith("told what to do")


async def test_an_answer_that_does_not_fit_is_asked_for_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: Any, tick: Any, merge: Any) -> None:
        raise RuntimeError("the hook fails")

    monkeypatch.setattr(Family, "on_merge", silent)
    origin = await root(stage)
    fork = await steer.fork(stage.at, origin)
    await stage.settle()
    await tell(stage, origin, "set", {"limit": 2})
    await tell(stage, fork, "set", {"limit": 3})
    await steer.merge(stage.at, [fork], origin)
    await stage.settle()
    for answer, limit in (("many", 2), ("7", 7)):
        await verbs.reply(stage.at, origin, answer)
        await stage.settle()
        assert (await stage.state(origin))["limit"] == limit


async def test_a_source_whose_heir_has_ended_goes_on(stage: Stage) -> None:
    origin = await root(stage)
    fork = await steer.fork(stage.at, origin)
    await stage.settle()
    await steer.freeze(stage.at, fork)
    await steer.merge(stage.at, [fork], origin)
    await steer.kill(stage.at, origin)
    await stage.settle()
    await steer.thaw(stage.at, fork)
    await stage.settle()
    assert (await stage.checkpoint(fork)).status is Status.PENDING
    assert (await stage.view(fork)).glance.unread == 0
    assert (await granted(stage, fork)) == 500
    with pytest.raises(ContinuationAlreadyTerminalError):
        await steer.merge(stage.at, [fork], origin)


async def test_two_that_never_were_one_merge_without_a_base(stage: Stage) -> None:
    ours = theirs = await root(stage)
    while theirs == ours or partition_of(theirs) != partition_of(ours):
        theirs = await root(stage)
    await tell(stage, ours, "set", {"count": 2, "papers": ["a"], "title": "untitled"})
    await tell(stage, theirs, "set", {"count": 3, "papers": ["b"], "title": "other"})
    await steer.merge(stage.at, [theirs], ours)
    await stage.settle()
    state = await stage.state(ours)
    assert (state["count"], state["papers"], state["title"]) == (5, ["a", "b"], "untitled")
    assert [open_.field for open_ in (await stage.checkpoint(ours)).disagreements] == ["title"]


async def test_an_heir_that_waits_for_money_gets_it_and_goes_on(stage: Stage) -> None:
    rich = await root(stage, 100_000_000)
    poor = await steer.fork(stage.at, rich, share=0.0)
    await stage.settle()
    await tell(stage, poor, "think")
    assert "waiting on budget" in await stage.why(poor)
    await tell(stage, rich, "set", {"title": "rich"})
    await steer.merge(stage.at, [rich], poor)
    await stage.settle()
    assert stage.model.asked == 1
    assert (await stage.state(poor))["title"] == "rich"


async def test_a_merge_into_itself_a_stranger_or_a_descendant_is_refused(stage: Stage) -> None:
    top = await root(stage)
    child = await child_of(stage, top, 100)
    other = await stage.start("counter")
    for source, into in ((top, top), (top, child), (other, top)):
        with pytest.raises(InvalidInput):
            await steer.merge(stage.at, [source], into)
    await steer.merge(stage.at, [child], top)
    await stage.settle()
    assert await granted(stage, child) == 0
    assert (await stage.ledger(top)).account("usd").free == 1_000
