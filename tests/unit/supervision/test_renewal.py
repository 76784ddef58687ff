"""Renewal: what runs is stopped and started elsewhere, and nobody counts it."""

from maestro.ids import HolderId
from maestro.supervision import machine, requests
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import PostRetry, StartTogether, StopTogether, SupervisorState


def child(name: str, restart: str = "permanent") -> ChildSpec:
    return ChildSpec.model_validate({"id": name, "start": "a:B", "restart": restart})


def running(*children: ChildSpec) -> SupervisorState:
    spec = ChildSpec(id="s", start="a:S", type="supervisor", children=children)
    state, _ = machine.start_all(machine.supervisor(spec), {}, frozenset())
    for one in children:
        state = machine.on_started(state, one.id, HolderId(f"{one.id}#1"))
    return state


def test_they_are_stopped_first_and_started_at_their_old_places_with_nothing_counted() -> None:
    state, actions = requests.renew_children(running(child("a"), child("b"), child("c")), ["c", "a"])
    stops, starts = actions
    assert isinstance(stops, StopTogether)
    assert isinstance(starts, StartTogether)
    assert {stop.spec.id for stop in stops.stops} == {"a", "c"}
    assert [spec.id for spec in starts.specs] == ["a", "c"]
    for name in ("a", "c"):
        state = machine.on_started(state, name, HolderId(f"{name}#2"))
    assert [(one.id, one.standing, one.restarts) for one in state.children] == [
        ("a", "running", 0), ("b", "running", 0), ("c", "running", 0),
    ]  # fmt: skip
    assert state.restarts == ()


def test_one_that_does_not_come_up_is_tried_again_as_a_restart() -> None:
    state, _ = requests.renew_children(running(child("a")), ["a"])
    state, instead = machine.on_start_failed(state, "a", "no place")
    assert instead == (PostRetry("a"),)


def test_a_temporary_one_is_only_stopped() -> None:
    state, actions = requests.renew_children(running(child("a", "temporary"), child("b")), ["a"])
    assert [one.id for one in state.children] == ["b"]
    assert actions[1] == StartTogether(())


def test_whoever_does_not_run_or_is_unknown_is_left_alone() -> None:
    before = running(child("a"))
    stopped, _ = requests.terminate_child(before, "a")
    assert requests.renew_children(stopped, ["a", "nobody"]) == (stopped, ())
