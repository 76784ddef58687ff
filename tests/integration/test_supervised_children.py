"""A parent supervises its children: who comes back, with what money, and when it gives up; with good luck and bad."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from pydantic import BaseModel, JsonValue

from maestro import Behaviour, Finish, Sleep
from maestro.budget.vector import Budget
from maestro.continuation.directive import Closing, Fail, Wait
from maestro.continuation.mail import Mail
from maestro.testing.harness import Case, Harness
from maestro.tick.context import Tick


class Family(BaseModel):
    first: list[str] = []
    ends: list[str] = []
    now: list[str] = []


class Kid(Behaviour):  # type: ignore[type-arg]  # it keeps no state
    """Ends as it is told to."""

    async def on_message(self, tick: Tick[Any], message: Mail) -> Closing | None:
        match message.body:
            case "think":
                await tick.think("what is there to say?")
                return None
            case "done":
                return Finish(result="a result")
            case _:
                return Fail(reason="told to")


class Parent(Behaviour[Family]):
    """Has three children, supervised as its input says."""

    async def start(self, tick: Tick[Family]) -> Closing | None:
        how = tick.about.input
        assert isinstance(how, dict)
        tick.supervise(**how["rules"])  # type: ignore[arg-type]
        for n in range(3):
            tick.state.first.append(
                tick.spawn(Kid, goal=f"child {n}", budget=Budget(usd="0.10"), restart=how.get("restart", "transient"))  # type: ignore[arg-type]
            )
        return Wait.children(*tick.state.first) if how.get("joins") else Sleep.until_woken()  # type: ignore[arg-type]

    async def on_child(self, tick: Tick[Family], child: Mail) -> Closing | None:
        assert isinstance(child.body, dict)
        tick.state.ends.append(str(child.body["status"]))
        return Finish() if len(tick.state.ends) == 3 else None

    async def on_message(self, tick: Tick[Family], message: Mail) -> Closing | None:
        assert message.body != "poison"
        tick.state.now = [tick.child(first) for first in tick.state.first]  # type: ignore[arg-type]
        return None


class Grand(Behaviour):  # type: ignore[type-arg]
    """Supervises a parent."""

    async def start(self, tick: Tick[Any]) -> Closing | None:
        rules: JsonValue = {"max_restarts": 0}
        tick.supervise(max_restarts=1, max_seconds=86_400)  # unlucky ones wait for leases meanwhile
        tick.spawn(Parent, goal="again", budget=Budget(usd="1"), input={"rules": rules}, restart="transient")
        return Sleep.until_woken()


@pytest.fixture(params=[False, True], ids=["lucky", "unlucky"])
def maestro(request: pytest.FixtureRequest) -> Iterator[Harness]:
    with Harness(Kid, Parent, Grand, unlucky=request.param) as harness:
        yield harness


def begun(maestro: Harness, **how: Any) -> Case:
    return maestro.start(Parent, goal="three", input={"rules": {}, **how})


def case(maestro: Harness, cid: str) -> Case:
    return next(case for case in maestro.all() if case.id == cid)


def children(parent: Case) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", parent.shown["children"])


def usd(case: Case, part: str) -> int:
    return cast("dict[str, dict[str, int]]", case.shown["budget"])["usd"][part]


def kids(maestro: Harness, parent: Case) -> list[Case]:
    """Those in the places of its children, in their order."""
    parent.send("who?")
    return [case(maestro, cid) for cid in parent.state["now"]]


def test_only_the_one_that_failed_comes_back_as_a_new_child_with_what_is_left_of_its_grant(maestro: Harness) -> None:
    parent = begun(maestro)
    before = kids(maestro, parent)
    before[1].send("think")
    spent = usd(before[1], "spent")
    before[1].send("fail")
    after = kids(maestro, parent)
    assert [case.id for case in after] == [before[0].id, after[1].id, before[2].id]
    assert before[1].status == "failed"
    assert after[1].status == "pending"
    assert usd(after[1], "granted") == 100_000 - spent
    assert spent > 0
    assert after[1].shown["goal"] == before[1].shown["goal"]
    assert parent.state["ends"] == []


@pytest.mark.parametrize(("strategy", "stay"), [("one_for_all", 0), ("rest_for_one", 1)])
def test_siblings_follow_as_the_strategy_says(maestro: Harness, strategy: str, stay: int) -> None:
    parent = begun(maestro, rules={"strategy": strategy})
    before = kids(maestro, parent)
    before[1].send("fail")
    after = kids(maestro, parent)
    assert [old.id == new.id for old, new in zip(before, after, strict=True)] == [n < stay for n in range(3)]
    assert [case.status for case in after] == ["pending"] * 3
    assert [case.shown["stop_reason"] for case in before[stay:] if case is not before[1]] == [
        "restarted_with_sibling"
    ] * (2 - stay)
    assert parent.state["ends"] == []


def test_a_join_waits_for_the_successor(maestro: Harness) -> None:
    parent = begun(maestro, joins=True)
    first, second, third = (case(maestro, cid) for cid in parent.state["first"])
    first.send("fail")
    second.send("done")
    third.send("done")
    assert (parent.status, parent.state["ends"]) == ("pending", []), parent.why
    (successor,) = [child["id"] for child in children(parent) if child["first"] == first.id]
    case(maestro, successor).send("done")
    assert (parent.status, parent.state["ends"]) == ("completed", ["completed"] * 3)


def test_a_parent_that_is_held_goes_on_supervising_and_stays_held(maestro: Harness) -> None:
    parent = begun(maestro)
    first = case(maestro, parent.state["first"][0])
    parent.send("poison")
    assert parent.shown["hold"] == "quarantined", parent.why
    first.send("fail")
    assert [child["status"] for child in children(parent) if child["first"] == first.id] == ["pending"]
    assert parent.shown["hold"] == "quarantined", parent.why


def test_a_transient_one_that_is_done_stays_so_and_a_permanent_one_does_not(maestro: Harness) -> None:
    transient, permanent = begun(maestro), begun(maestro, restart="permanent")
    for parent in (transient, permanent):
        kids(maestro, parent)[0].send("done")
    assert transient.state["ends"] == ["completed"]
    assert permanent.state["ends"] == []
    assert kids(maestro, permanent)[0].status == "pending"


def test_who_restarts_too_often_gives_up_with_all_its_children(maestro: Harness) -> None:
    parent = begun(maestro, rules={"max_restarts": 1})
    kids(maestro, parent)[0].send("fail")
    left = kids(maestro, parent)
    left[2].send("fail")
    assert (parent.status, parent.shown["stop_reason"]) == ("failed", "supervisor_gave_up"), parent.why
    assert "reached_max_restart_intensity" in str(parent.shown["stop_detail"])
    assert {case.status for case in left} <= {"failed", "cancelled"}


def test_old_restarts_are_forgotten(maestro: Harness) -> None:
    parent = begun(maestro, rules={"max_restarts": 1, "max_seconds": 60})
    for _ in range(3):
        kids(maestro, parent)[0].send("fail")
        maestro.advance(seconds=3_600)
    assert parent.status == "pending", parent.why


def test_who_burned_more_than_it_may_gives_up(maestro: Harness) -> None:
    parent = begun(maestro, rules={"max_burn": Budget(usd="0.000001").root})
    kids(maestro, parent)[0].send("think")
    kids(maestro, parent)[0].send("fail")
    assert parent.shown["stop_reason"] == "supervisor_gave_up", parent.why
    assert "burned" in str(parent.shown["stop_detail"])


def test_a_supervisor_that_gave_up_is_a_crash_for_its_own_parent(maestro: Harness) -> None:
    grand = maestro.start(Grand, goal="above")
    for _ in range(2):
        assert grand.status == "pending"
        (parent,) = [case(maestro, child["id"]) for child in children(grand)]
        kids(maestro, parent)[0].send("fail")
        assert parent.shown["stop_reason"] == "supervisor_gave_up"
    assert grand.shown["stop_reason"] == "supervisor_gave_up", grand.why
