"""Steering on every store: ends, standstill and money, told with behaviours that really tick."""

import orjson
import pytest

from maestro.continuation.lifecycle import STOP_STATUS, Hold, Status
from maestro.continuation.mail import Control
from maestro.errors import BudgetExceededError, Conflict, InvalidInput
from maestro.runtime import steer, verbs
from maestro.tick.runner import run
from tests.contract.steered import Family, child_of, facts, granted, root, stage, tell, usd, whole
from tests.stage import Stage

__all__ = ["stage"]

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
