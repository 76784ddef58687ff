"""OTP's groups sup_start, sup_start_map, sup_stop, code_change, and the order of children."""

import pytest

from maestro.errors import InvalidInput, NotFound
from maestro.supervision import machine, requests
from maestro.supervision.spec import ChildSpec, child_spec
from maestro.supervision.state import Exit, ExitKind, StopChild, StopTogether
from tests.unit.supervision.stage import START, Stage, child, sup

REASONS: list[ExitKind] = ["normal", "shutdown", "killed", "error"]


def templated(restart: str = "permanent", **fields: object) -> ChildSpec:
    return sup(strategy="dynamic", template=child("c", restart, **fields))


def shutdowns(stage: Stage) -> list[tuple[str, object]]:
    """What an orderly stop would ask of each child."""
    _, actions = machine.stop_all(stage.state)
    flat = [stop for action in actions if isinstance(action, StopTogether) for stop in action.stops]
    return [(stop.spec.id, stop.shutdown) for stop in (*actions, *flat) if isinstance(stop, StopChild)]


# ---------------------------------------------------------------- sup_start


def test_sup_start_normal() -> None:
    stage = Stage(sup()).boot()
    assert (stage.state.phase, stage.counts) == ("up", [0, 0, 0, 0])
    assert stage.stop() == []
    assert stage.state.phase == "ended"


def test_sup_start_ignore_child() -> None:
    stage = Stage(sup(), ignoring={"a"}).boot()
    assert stage.start(child("a")) == []
    assert stage.start(child("b")) == ["+b"]
    assert [(c.id, c.incarnation is None) for c in stage.state.children] == [("a", True), ("b", False)]
    assert stage.counts == [2, 1, 0, 2]


def test_sup_start_ignore_temporary_child() -> None:
    stage = Stage(sup(child("a", "temporary"), child("b", "temporary")), ignoring={"a"}).boot()
    assert (stage.state.phase, stage.known, stage.counts) == ("up", ["b"], [1, 1, 0, 1])


def test_sup_start_ignore_temporary_child_start_child() -> None:
    stage = Stage(sup(), ignoring={"a"}).boot()
    stage.start(child("a", "temporary"))
    stage.start(child("b", "temporary"))
    assert (stage.known, stage.counts) == (["b"], [1, 1, 0, 1])


def test_sup_start_ignore_temporary_child_start_child_simple() -> None:
    stage = Stage(templated("temporary"), ignoring={"c/1"}).boot()
    stage.spawn()
    stage.spawn()
    assert (stage.known, stage.counts) == (["c/2"], [1, 1, 0, 1])


def test_sup_start_ignore_permanent_child_start_child_simple() -> None:
    stage = Stage(templated("permanent"), ignoring={"c/1"}).boot()
    stage.spawn()
    stage.spawn()
    assert (stage.known, stage.counts) == (["c/2"], [1, 1, 0, 1])
    assert stage.stop() == ["-c/2"]


def test_sup_start_fail() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c")), failing={"b"}).boot()
    assert stage.played == ["+a", "-a"]
    assert stage.gave_up == "failed_to_start_child b: no luck"


def test_sup_start_child_returns_error() -> None:
    stage = Stage(sup(), failing={"a"}).boot()
    stage.start(child("a"))
    assert (stage.known, list(stage.retries), stage.gave_up) == ([], [], None)


def test_sup_start_restart_child_returns_error() -> None:
    stage = Stage(sup(child("a"))).boot()
    stage.terminate("a")
    stage.failing = {"a"}
    assert stage.restart("a") == []
    assert [(c.id, c.standing) for c in stage.state.children] == [("a", "stopped")]
    assert list(stage.retries) == []


def test_sup_start_child_returns_error_simple() -> None:
    stage = Stage(templated(), failing={"c/1"}).boot()
    stage.spawn()
    assert (stage.known, list(stage.retries)) == ([], [])


# ---------------------------------------------------------------- sup_start_map


def test_sup_start_map() -> None:
    stage = Stage(sup(child("a"), child("b", shutdown="brutal_kill"), sup(id="c"))).boot()
    told = [requests.which_child(stage.state, name).spec for name in "abc"]
    assert [(spec.restart, spec.shutdown_or_default, spec.type) for spec in told] == [
        ("permanent", 5000, "worker"),
        ("permanent", "brutal_kill", "worker"),
        ("permanent", "infinity", "supervisor"),
    ]
    with pytest.raises(NotFound):
        requests.which_child(stage.state, "d")


def test_sup_start_map_simple() -> None:
    stage = Stage(templated("temporary")).boot()
    for _ in range(3):
        stage.spawn()
    specs = [requests.which_child(stage.state, f"c/{number}").spec for number in (1, 2, 3)]
    assert {(s.start, s.restart, s.type, s.shutdown_or_default, s.significant) for s in specs} == {
        (START, "temporary", "worker", 5000, False)
    }
    with pytest.raises(NotFound):
        requests.which_child(stage.state, "c/4")


@pytest.mark.parametrize(
    ("data", "field"),
    [('{"start": "a:B"}', "id"), ('{"id": "a"}', "start"), ('"child4"', "child_spec")],
)
def test_sup_start_map_faulty_specs(data: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        child_spec(data)
    assert refused.value.field == field


# ---------------------------------------------------------------- sup_stop; that it is obeyed is shown on Ray


def test_sup_stop_infinity() -> None:
    stage = Stage(sup(sup(id="a", shutdown="infinity"), child("b", shutdown="infinity"))).boot()
    assert shutdowns(stage) == [("b", "infinity"), ("a", "infinity")]


def test_sup_stop_timeout() -> None:
    stage = Stage(sup(child("a", shutdown=1000), child("b", shutdown=1000))).boot()
    assert shutdowns(stage) == [("b", 1000), ("a", 1000)]


def test_sup_stop_timeout_dynamic() -> None:
    stage = Stage(templated("temporary", shutdown=1000)).boot()
    stage.spawn()
    stage.spawn()
    assert shutdowns(stage) == [("c/2", 1000), ("c/1", 1000)]
    assert stage.stop() == ["-c/2|c/1"]


def test_sup_stop_brutal_kill() -> None:
    stage = Stage(sup(child("a", shutdown=1000), child("b", shutdown="brutal_kill"))).boot()
    assert shutdowns(stage) == [("b", "brutal_kill"), ("a", 1000)]


def test_sup_stop_brutal_kill_dynamic() -> None:
    stage = Stage(templated("temporary", shutdown="brutal_kill")).boot()
    for _ in range(10):
        stage.spawn()
    assert shutdowns(stage) == [(f"c/{number}", "brutal_kill") for number in range(10, 0, -1)]


@pytest.mark.parametrize("restart", ["temporary", "transient", "permanent"])
@pytest.mark.parametrize("kind", REASONS)
def test_sup_stop_race(restart: str, kind: ExitKind) -> None:
    significant = {} if restart == "permanent" else {"significant": True}
    spec = sup(child("a", restart, **significant), child("b"), auto_shutdown="any_significant")
    stage = Stage(spec).boot()
    late = stage.state.children[0].incarnation
    assert late is not None
    assert stage.stop() == ["-b", "-a"]
    assert stage.play(machine.on_exit(stage.state, Exit("a", late, kind), 0)) == []
    assert (stage.state.phase, stage.gave_up) == ("ended", None)


@pytest.mark.parametrize("restart", ["temporary", "transient", "permanent"])
@pytest.mark.parametrize("kind", REASONS)
def test_sup_stop_non_shutdown_exit_dynamic(restart: str, kind: ExitKind) -> None:
    stage = Stage(templated(restart)).boot()
    stage.spawn()
    late = stage.state.children[0].incarnation
    assert late is not None
    assert stage.stop() == ["-c/1"]
    assert stage.play(machine.on_exit(stage.state, Exit("c/1", late, kind), 0)) == []


# ---------------------------------------------------------------- code_change


def test_code_change() -> None:
    stage = Stage(sup(intensity=(0, 1))).boot()
    stage.change(sup(intensity=(1, 3)))
    assert (stage.state.intensity.max_restarts, stage.state.intensity.max_seconds) == (1, 3)

    stage.change(sup(child("a", shutdown=2000), child("b", shutdown="brutal_kill")))
    assert stage.running == []
    assert [*stage.restart("a"), *stage.restart("b")] == ["+a", "+b"]
    stage.change(sup(child("a", shutdown=1000), child("c")))
    assert stage.known == ["a", "c", "b"]
    assert stage.running == ["a", "b"]
    assert shutdowns(stage) == [("b", "brutal_kill"), ("a", 1000)]


def test_code_change_map() -> None:
    stage = Stage(sup(child("a", shutdown=2000))).boot()
    before = stage.state
    with pytest.raises(InvalidInput, match="Field required"):
        stage.change(child_spec('{"id": "top", "type": "supervisor", "start": "a:B", "children": [{"id": "x"}]}'))
    assert stage.state == before
    stage.change(sup(child("a", shutdown=1000)))
    assert requests.which_child(stage.state, "a").spec.shutdown == 1000
    assert stage.exit("a", "error") == ["+a"]


def test_code_change_simple() -> None:
    stage = Stage(templated(shutdown="brutal_kill")).boot()
    stage.spawn()
    stage.change(templated(shutdown=1000))
    stage.spawn()
    assert shutdowns(stage) == [("c/2", 1000), ("c/1", "brutal_kill")]


def test_code_change_simple_map() -> None:
    stage = Stage(templated()).boot()
    with pytest.raises(InvalidInput, match="a template cannot come or go") as refused:
        stage.change(sup(strategy="dynamic"))
    assert refused.value.facts == {"otp": "simple_one_for_one"}
    with pytest.raises(InvalidInput, match="a template cannot come or go"):
        Stage(sup(strategy="dynamic")).boot().change(templated())


# ---------------------------------------------------------------- order


def test_order_of_children() -> None:
    names = ["ch7", "ch3", "ch10", "ch2", "ch5"]
    stage = Stage(sup(*map(child, names), strategy="rest_for_one")).boot()
    assert stage.played == [f"+{name}" for name in names]
    assert stage.exit("ch10", "error") == ["-ch5", "-ch2", "+ch10", "+ch2", "+ch5"]
    assert stage.stop() == [f"-{name}" for name in reversed(names)]


def test_scale_start_stop_many_children() -> None:
    stage = Stage(sup()).boot()
    for number in range(500):
        stage.start(child(f"c{number}"))
    for number in range(500):
        assert stage.terminate(f"c{number}") == [f"-c{number}"]
    assert stage.counts == [500, 0, 0, 500]


def test_faulty_application_shutdown() -> None:
    inner = Stage(sup(child("x"), id="inner"), failing={"x"}).boot()
    assert inner.gave_up == "failed_to_start_child x: no luck"
    outer = Stage(sup(sup(id="inner")), failing={"inner"}).boot()
    assert outer.gave_up == "failed_to_start_child inner: no luck"
