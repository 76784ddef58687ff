"""Restarts after a mass death come in paces, first come first served (F50)."""

import random

import pytest
from pydantic import ValidationError

from maestro.supervision import pacing
from maestro.supervision.spec import ChildSpec, Pace
from maestro.supervision.state import Bucket
from tests.unit.supervision.stage import Stage, child, sup

PLENTY = (100_000, 60)


def paced(*names: str, at_once: int = 2, per_second: int = 4) -> Stage:
    pace = {"at_once": at_once, "per_second": per_second}
    return Stage(sup(*map(child, names), intensity=PLENTY, pace=pace, starts_together=True)).boot()


def test_f50_of_many_that_die_at_once_only_so_many_start_at_once_and_the_rest_wait_visibly() -> None:
    stage = paced(*"abcde")
    for name in "abcde":
        assert stage.exit(name, "node_lost") == []
    assert {stage.standing(name) for name in "abcde"} == {"waiting"}
    assert len(stage.turns) == 1

    assert stage.turn() == ["+a|b"]
    assert [stage.standing(name) for name in "abcde"] == ["running", "running", "waiting", "waiting", "waiting"]
    assert stage.turn() == ["+c"]
    assert stage.now_ms == 250
    assert stage.turn() == ["+d"]
    assert stage.turn() == ["+e"]
    assert (stage.running, len(stage.turns), stage.now_ms) == (list("abcde"), 0, 750)


def test_f50_two_hundred_that_die_with_their_node_are_all_back_in_order_and_never_sooner_than_the_pace_allows() -> None:
    """At the pace that a pool has: eight at once, twenty a second."""
    names = [f"a{n}" for n in range(200)]
    stage = paced(*names, at_once=8, per_second=20)
    for name in names:
        stage.exit(name, "node_lost")
    back: list[str] = []
    while stage.turns:
        for played in stage.turn():
            started = played.removeprefix("+").split("|")
            back += started
            assert len(started) <= 8, "never more at once"
        assert len(back) <= 8 + stage.now_ms * 20 // 1_000
    assert back == names, "all, each once, first come first served"
    assert stage.now_ms >= (200 - 8) * 1_000 // 20
    assert stage.state.phase == "up", "a mass death is no crash loop"


def test_a_child_in_a_crash_loop_does_not_go_before_a_sibling_that_waited() -> None:
    stage = paced("a", "b", at_once=1)
    for name in "ab":
        stage.exit(name, "error")
    assert stage.turn() == ["+a"]
    stage.exit("a", "error")
    assert stage.turn() == ["+b"]
    assert stage.turn() == ["+a"]


def test_who_waits_can_be_stopped_asked_for_and_is_never_started_twice() -> None:
    stage = paced("a", "b", "c", at_once=1)
    for name in "abc":
        stage.exit(name, "error")
    stage.terminate("a")
    stage.terminate("b")
    assert stage.restart("b") == ["+b"]
    assert stage.turn() == ["+c"]
    assert (len(stage.turns), stage.running) == (0, ["b", "c"])
    assert stage.stop() == ["-c", "-b"]


def test_a_stop_ends_also_the_waiting() -> None:
    stage = paced("a", "b", at_once=1)
    for name in "ab":
        stage.exit(name, "error")
    assert stage.stop() == []
    assert stage.turn() == []


def test_a_first_start_of_all_together_keeps_the_pace_too() -> None:
    stage = paced(*"abcde")
    assert stage.played == ["+a|b", "+c|d", "+e"]
    assert stage.state.phase == "up"


def test_f49_beside_children_found_alive_the_missing_come_back_in_paces_and_none_is_counted() -> None:
    pace = {"at_once": 2, "per_second": 4}
    stage = Stage(sup(*map(child, "abcd"), intensity=(0, 5), pace=pace)).boot(a="a#9")
    assert (stage.played, stage.state.phase) == (["=a"], "up")
    assert [stage.turn(), stage.turn()] == [["+b|c"], ["+d"]]
    assert (stage.gave_up, stage.state.restarts) == (None, ())


def test_a_failed_restart_waits_its_turn_again_and_counts() -> None:
    stage = paced("a", "b", "c")
    stage.failing = {"b!"}
    for name in "abc":
        stage.exit(name, "error")
    assert stage.turn() == ["+a"]
    assert (list(stage.retries), stage.standing("b"), len(stage.turns)) == (["b"], "restarting", 1)
    assert stage.retry() == []
    assert [stage.standing("b"), stage.turn(), stage.turn()] == ["waiting", ["+c"], ["+b"]]
    assert len(stage.state.restarts) == 4


def test_in_no_stretch_of_time_more_restarts_than_the_bucket_holds_and_gains() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        at_once, per_second = chance.randint(1, 5), chance.choice([1, 3, 20, 999])
        stage = paced(*(f"c{n}" for n in range(12)), at_once=at_once, per_second=per_second)
        starts: list[int] = []

        def take_turn(stage: Stage = stage, starts: list[int] = starts) -> None:
            born = sum(part.count("c") for part in stage.turn())
            starts += [stage.now_ms] * born

        for _ in range(60):
            if stage.turns and chance.random() < 0.6:
                take_turn()
            elif stage.running:
                stage.exit(chance.choice(stage.running), "killed")
            stage.now_ms += chance.choice([0, 1, 40, 700])
        while stage.turns:
            take_turn()
        for n, first in enumerate(starts):
            for m in range(n, len(starts)):
                assert m - n + 1 <= at_once + (starts[m] - first) * per_second / 1000 + 1e-6, seed
        assert len(stage.running) == 12


def test_a_bucket_never_holds_more_than_it_can_whatever_the_clock_does() -> None:
    pace = Pace(at_once=3, per_second=2)
    assert pacing.refill(None, pace, 7) == Bucket(3_000, 7)
    assert pacing.refill(Bucket(0, 0), pace, 400) == Bucket(800, 400)
    assert pacing.refill(Bucket(0, 0), pace, 1_000_000) == Bucket(3_000, 1_000_000)
    assert pacing.refill(Bucket(500, 1_000), pace, 10) == Bucket(500, 10)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"pace": {"at_once": 0}}, "at_once 0 is not a whole number from 1 to 1000"),
        ({"pace": {"per_second": 0.5}}, "per_second 0.5 is not a whole number from 1 to 1000"),
        (
            {"pace": {}, "strategy": "one_for_all"},
            "children of 'top' come back together under one_for_all: leave pace out",
        ),
        ({"pace": {}, "type": "worker"}, "worker 'top' has pace: only a child of type supervisor may"),
    ],
)
def test_a_faulty_pace_is_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChildSpec.model_validate({"id": "top", "start": "a:B", "type": "supervisor", **flags})
    assert refused.value.errors()[0]["msg"] == f"Value error, {message}"
