"""What Maestro adds to OTP: adoption by a successor, sweeping, and exits that come too late."""

import pytest

from maestro.errors import Conflict
from maestro.ids import HolderId
from maestro.supervision import machine
from maestro.supervision.roster import recall, roster
from maestro.supervision.spec import Intensity
from maestro.supervision.state import Exit
from tests.unit.supervision.stage import Stage, child, sup


def test_an_exit_of_an_incarnation_that_is_not_the_current_one_changes_nothing() -> None:
    stage = Stage(sup(child("a"))).boot()
    stale = Exit("a", HolderId("a#0"), "killed")
    assert machine.on_exit(stage.state, stale, 0) == (stage.state, ())
    assert machine.on_exit(stage.state, Exit("nobody", HolderId("a#1"), "killed"), 0) == (stage.state, ())


def test_a_supervisor_that_has_ended_decides_nothing_any_more() -> None:
    stage = Stage(sup(child("a"))).boot()
    late = Exit("a", HolderId("a#1"), "killed")
    stage.stop()
    assert machine.on_exit(stage.state, late, 0) == (stage.state, ())
    assert machine.on_retry(stage.state, "a", 0) == (stage.state, ())
    with pytest.raises(Conflict, match="this supervisor has ended"):
        stage.start(child("b"))


def test_restart_intensity_counts_the_restarts_of_its_period_only() -> None:
    intensity = Intensity(max_restarts=3, max_seconds=5)
    assert machine.recent((), 10_000, intensity) == (10_000,)
    assert machine.recent((9_000, 5_000, 4_999, 100), 10_000, intensity) == (10_000, 9_000, 5_000)


@pytest.mark.parametrize(
    ("strategy", "alive", "played"),
    [
        ("one_for_one", "ac", ["=a", "=c", "+b"]),
        ("dynamic", "ac", ["=a", "=c", "+b"]),
        ("rest_for_one", "ac", ["=a", "-c", "+b", "+c"]),
        ("rest_for_one", "bc", ["-c", "-b", "+a", "+b", "+c"]),
        ("one_for_all", "ac", ["-c", "-a", "+a", "+b", "+c"]),
        ("one_for_all", "abc", ["=a", "=b", "=c"]),
    ],
)
def test_a_successor_adopts_what_lives_as_far_as_the_strategy_allows(
    strategy: str, alive: str, played: list[str]
) -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy=strategy)).boot(
        **{name: f"{name}#9" for name in alive}
    )
    assert stage.state.phase == "up"
    while stage.turns:
        stage.turn()
    assert stage.played == played
    assert stage.running == ["a", "b", "c"]


def test_children_that_need_nothing_of_one_another_start_together_and_stop_in_reverse() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), starts_together=True)).boot(b="b#9")
    assert (stage.played, stage.state.phase) == (["=b"], "up")
    assert stage.turn() == ["+a|c"]
    assert stage.exit("a", "killed") == ["+a"]
    assert stage.stop() == ["-c", "-b", "-a"]


def test_of_children_started_together_each_failure_counts_and_the_started_ones_are_stopped() -> None:
    stage = Stage(sup(*map(child, "abcd"), starts_together=True), failing={"b", "d"}).boot()
    assert stage.played == ["+a|c", "-c", "-a"]
    assert stage.gave_up == "failed_to_start_child b: no luck"

    successor = Stage(sup(*map(child, "abcd"), starts_together=True), failing={"b", "d"}).boot(a="a#9")
    assert (successor.turn(), successor.gave_up, list(successor.retries)) == (["+c"], None, ["b", "d"])


def test_beside_adopted_children_a_missing_one_that_fails_is_tried_again_and_ends_nobody() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c")), failing={"b!"}).boot(a="a#9")
    assert [stage.turn(), stage.turn()] == [[], ["+c"]]
    assert (stage.gave_up, list(stage.retries), len(stage.turns)) == (None, ["b"], 0)
    assert stage.retry() == ["+b"]


def test_a_successor_knows_what_was_added_stopped_and_temporary() -> None:
    stage = Stage(sup(child("a"), child("b"), child("t", "temporary"), child("u", "temporary"))).boot()
    stage.start(child("added"))
    stage.terminate("b")
    alive = {"a": HolderId("a#1"), "u": HolderId("u#4")}

    state, leave = recall(stage.spec, roster(stage.state), alive)
    assert [c.id for c in state.children] == ["a", "b", "u", "added"]
    assert leave == {"b"}
    successor = Stage(stage.spec)
    assert [*successor.play(machine.start_all(state, alive, leave)), *successor.turn()] == ["=a", "=u", "+added"]
    assert successor.running == ["a", "u", "added"]


def test_what_a_dead_supervisor_left_is_swept_when_it_will_not_come_back() -> None:
    temporary = Stage(sup(sup(id="below", restart="temporary"))).boot()
    assert temporary.exit("below", "killed") == ["~below"]

    hopeless = Stage(sup(sup(id="below"), child("a"), intensity=(0, 5))).boot()
    assert hopeless.exit("below", "killed") == ["-a", "~below"]
    assert hopeless.gave_up == "reached_max_restart_intensity: below killed"

    below = sup(id="below", restart="temporary", significant=True)
    shutting = Stage(sup(below, child("a"), auto_shutdown="any_significant")).boot()
    assert shutting.exit("below", "killed") == ["~below", "-a"]

    waiting = Stage(sup(sup(id="below"))).boot()
    waiting.failing = {"below"}
    waiting.exit("below", "killed")
    assert waiting.terminate("below") == ["~below"]


def test_a_supervisor_that_ended_in_order_leaves_nothing_to_sweep() -> None:
    stage = Stage(sup(sup(id="below", restart="transient"))).boot()
    assert stage.exit("below", "shutdown", "auto_shutdown") == []
