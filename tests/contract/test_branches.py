"""Forks and merges on every store, told with behaviours that really tick."""

from typing import Any

import orjson
import pytest

from maestro.continuation.lifecycle import Status
from maestro.continuation.lineage import forked
from maestro.continuation.mail import Control
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, InvalidInput
from maestro.ids import Partition, Rev, TimeMs, new_continuation_id, partition_of
from maestro.runtime import steer, verbs
from maestro.tick.birth import born
from tests.contract.steered import Family, child_of, facts, granted, root, stage, tell, usd, whole
from tests.stage import SEAL, Stage

__all__ = ["stage"]

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
