"""OTP's cases about exits: permanent, transient, temporary; the strategies; escalation; restarts that fail."""

import pytest

from maestro.supervision import machine
from maestro.supervision.spec import Intensity
from maestro.supervision.state import Exit, ExitKind
from tests.unit.supervision.stage import Stage, child, sup
from tests.unit.supervision.test_otp_requests import otp, seen
from tests.unit.supervision.test_otp_start_stop import templated

ABNORMAL = pytest.mark.parametrize("kind", ["killed", "error", "node_lost"])


def lone(restart: str) -> Stage:
    return Stage(sup(child("a", restart))).boot()


# ---------------------------------------------------------------- permanent, transient, temporary


def test_permanent_normal() -> None:
    assert lone("permanent").exit("a", "normal") == ["+a"]


def test_permanent_shutdown() -> None:
    stage = lone("permanent")
    assert stage.exit("a", "shutdown") == ["+a"]
    assert stage.exit("a", "shutdown", "some info") == ["+a"]
    assert stage.counts == [1, 1, 0, 1]


@ABNORMAL
def test_permanent_abnormal(kind: ExitKind) -> None:
    assert lone("permanent").exit("a", kind) == ["+a"]


def test_transient_normal() -> None:
    stage = lone("transient")
    assert stage.exit("a", "normal") == []
    assert (seen(stage), stage.counts) == ([("a", "stopped")], [1, 0, 0, 1])


def test_transient_shutdown() -> None:
    stage = lone("transient")
    assert stage.exit("a", "shutdown") == []
    assert stage.restart("a") == ["+a"]
    assert stage.exit("a", "shutdown", "some info") == []
    assert (seen(stage), stage.counts) == ([("a", "stopped")], [1, 0, 0, 1])


@ABNORMAL
def test_transient_abnormal(kind: ExitKind) -> None:
    assert lone("transient").exit("a", kind) == ["+a"]


def test_temporary_normal() -> None:
    stage = lone("temporary")
    assert (stage.exit("a", "normal"), stage.counts) == ([], [0, 0, 0, 0])


def test_temporary_shutdown() -> None:
    stage = lone("temporary")
    assert (stage.exit("a", "shutdown"), stage.counts) == ([], [0, 0, 0, 0])
    assert stage.start(child("a", "temporary")) == ["+a"]
    assert (stage.exit("a", "shutdown", "some info"), stage.counts) == ([], [0, 0, 0, 0])


@ABNORMAL
def test_temporary_abnormal(kind: ExitKind) -> None:
    stage = lone("temporary")
    assert (stage.exit("a", kind), stage.counts) == ([], [0, 0, 0, 0])


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_temporary_bystander(strategy: str) -> None:
    stage = Stage(sup(child("p"), child("t", "temporary"), strategy=strategy)).boot()
    assert stage.exit("p", "normal") == ["-t", "+p"]
    assert stage.known == ["p"]


# ---------------------------------------------------------------- intensity and strategies


def test_multiple_restarts() -> None:
    stage = Stage(sup(child("a"), intensity=(1, 1))).boot()
    for n in range(4):
        stage.now_ms = 2100 * n
        assert stage.exit("a", "error") == ["+a"]
    stage.terminate("a")
    stage.delete("a")
    assert (stage.known, stage.gave_up) == ([], None)


def test_a_restart_as_old_as_the_period_still_counts_and_an_older_one_does_not() -> None:
    for gap_ms, survives in ((1000, False), (1001, True)):
        stage = Stage(sup(child("a"), intensity=(1, 1))).boot()
        stage.exit("a", "error")
        stage.now_ms = gap_ms
        stage.exit("a", "error")
        assert (stage.gave_up is None) is survives


def test_one_for_one() -> None:
    stage = Stage(sup(child("a"), child("b"), intensity=(2, 3600))).boot()
    assert stage.exit("a", "error") == ["+a"]
    assert stage.counts == [2, 2, 0, 2]
    assert stage.exit("b", "error") == ["+b"]
    assert stage.exit("b", "error") == ["-a"]
    assert stage.gave_up == "reached_max_restart_intensity: b error"


def test_one_for_one_escalation() -> None:
    stage = Stage(sup(child("a"), child("b"), intensity=(4, 3600))).boot()
    stage.failing = {"a"}
    assert stage.exit("a", "error") == []
    assert [stage.retry() for _ in range(4)] == [[], [], [], ["-b"]]
    assert stage.gave_up == "reached_max_restart_intensity: a error"


def test_one_for_all() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="one_for_all", intensity=(2, 3600))).boot()
    assert stage.exit("a", "error") == ["-b", "+a", "+b"]
    assert stage.counts == [2, 2, 0, 2]
    assert stage.exit("b", "error") == ["-a", "+a", "+b"]
    assert stage.exit("b", "error") == ["-a"]
    assert stage.gave_up is not None


def test_one_for_all_escalation() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="one_for_all", intensity=(4, 3600))).boot()
    stage.failing = {"b"}
    assert stage.exit("a", "error") == ["-b", "+a"]
    assert [stage.retry() for _ in range(4)] == [["-a", "+a"], ["-a", "+a"], ["-a", "+a"], ["-a"]]
    assert stage.gave_up is not None


def test_one_for_all_other_child_fails_restart() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="one_for_all", intensity=(3, 3600))).boot()
    stage.failing = {"b!"}
    assert stage.exit("a", "error") == ["-c", "-b", "+a"]
    assert list(stage.retries) == ["b"]
    assert stage.retry() == ["-a", "+a", "+b", "+c"]
    assert stage.counts == [3, 3, 0, 3]


def test_rest_for_one() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one", intensity=(2, 3600))).boot()
    assert stage.exit("b", "error") == ["-c", "+b", "+c"]
    assert stage.counts == [3, 3, 0, 3]
    assert stage.exit("c", "error") == ["+c"]
    assert stage.exit("b", "error") == ["-c", "-a"]
    assert stage.gave_up is not None


def test_rest_for_one_escalation() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="rest_for_one", intensity=(4, 3600))).boot()
    stage.failing = {"b"}
    assert stage.exit("a", "error") == ["-b", "+a"]
    assert [stage.retry() for _ in range(4)] == [[], [], [], ["-a"]]
    assert stage.gave_up is not None


def test_rest_for_one_other_child_fails_restart() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one", intensity=(3, 3600))).boot()
    stage.failing = {"b!"}
    assert stage.exit("a", "error") == ["-c", "-b", "+a"]
    assert [c.standing for c in stage.state.children] == ["running", "restarting", "stopped"]
    assert stage.retry() == ["+b", "+c"]
    assert stage.running == ["a", "b", "c"]


# ---------------------------------------------------------------- simple_one_for_one


def test_simple_one_for_one() -> None:
    stage = Stage(templated()).boot()
    stage.spawn()
    stage.spawn()
    assert stage.exit("c/1", "error") == ["+c/1"]
    assert stage.counts == [1, 2, 0, 2]
    assert stage.exit("c/2", "error") == ["+c/2"]
    assert stage.exit("c/2", "error") == ["-c/1"]
    assert stage.gave_up is not None


@pytest.mark.parametrize("restart", ["transient", "permanent"])
def test_simple_one_for_one_restart_ignore(restart: str) -> None:
    stage = Stage(templated(restart)).boot()
    stage.spawn()
    assert stage.exit("c/1", "killed") == ["+c/1"]
    stage.ignoring = {"c/1"}
    assert stage.exit("c/1", "killed") == []
    assert (stage.known, stage.state.phase, list(stage.retries)) == ([], "up", [])


def test_simple_one_for_one_shutdown() -> None:
    stage = Stage(templated()).boot()
    for _ in range(3):
        stage.spawn()
    assert stage.stop() == ["-c/3|c/2|c/1"]


def test_simple_one_for_one_corruption() -> None:
    stage = Stage(templated("temporary")).boot()
    stage.spawn()
    stage.exit("c/1", "error")
    before = stage.state
    stage.spawn(big="x" * 50_000)
    stage.exit("c/2", "error")
    assert (stage.state.children, stage.state.template) == ((), before.template)


def test_simple_one_for_one_escalation() -> None:
    stage = Stage(templated().model_copy(update={"intensity": Intensity(max_restarts=4, max_seconds=3600)})).boot()
    stage.spawn()
    stage.spawn()
    stage.failing = {"c/1"}
    stage.exit("c/1", "error")
    assert [stage.retry() for _ in range(4)] == [[], [], [], ["-c/2"]]
    assert stage.gave_up is not None


# ---------------------------------------------------------------- trees, and what is kept of temporary children


def test_tree() -> None:
    inner = Stage(sup(id="s2", intensity=(1, 3600))).boot()
    inner.start(child("c3"))
    inner.start(child("c4"))
    assert inner.exit("c4", "error") == ["+c4"]
    assert inner.exit("c3", "error") == ["-c4"]
    assert inner.gave_up is not None

    specs = [sup(child("c1"), child("c2"), id="s1"), sup(id="s2"), sup(id="s3", restart="transient")]
    stage = Stage(sup(*specs, strategy="one_for_all")).boot()
    stage.terminate("s3")
    assert stage.counts == [3, 2, 3, 0]
    assert stage.exit("s2", "shutdown", inner.gave_up) == ["-s1", "+s1", "+s2", "+s3"]
    assert stage.counts == [3, 3, 3, 0]
    assert Stage(specs[1]).boot().known == []


def test_do_not_save_start_parameters_for_temporary_children() -> None:
    large = {"large": "Potentially large" * 10}
    sizes = {}
    for restart in ("permanent", "transient", "temporary"):
        stage = Stage(templated(restart)).boot()
        for _ in range(20):
            stage.spawn(**large)
        for name in list(stage.known):
            stage.exit(name, "normal") if restart != "permanent" else None
        sizes[restart] = len(repr(stage.state))
    assert sizes["temporary"] < sizes["permanent"]


@pytest.mark.parametrize("strategy", ["one_for_all", "one_for_one", "rest_for_one"])
@pytest.mark.parametrize("how", ["killed", "normal", "error", "supervisor"])
def test_do_not_save_child_specs_for_temporary_children(strategy: str, how: str) -> None:
    for restart in ("permanent", "transient", "temporary"):
        stage = Stage(sup(strategy=strategy)).boot()
        spec = child("a", restart)
        stage.start(spec)
        stage.terminate("a") if how == "supervisor" else stage.exit("a", how)  # type: ignore[arg-type]
        if restart == "temporary":
            assert stage.start(spec) == ["+a"]
        elif how == "supervisor" or (restart == "transient" and how == "normal"):
            assert otp(stage.start, spec) == "already_present"
            assert stage.restart("a") == ["+a"]
        else:
            assert otp(stage.start, spec) == "already_started"


def test_simple_one_for_one_scale_many_temporary_children() -> None:
    stage = Stage(templated("temporary")).boot()
    for _ in range(500):
        stage.spawn()
    for number in range(1, 501):
        assert stage.terminate(f"c/{number}") == [f"-c/{number}"]
    assert stage.counts == [1, 0, 0, 0]


# ---------------------------------------------------------------- restarts that fail: a stop gets in between


def test_hanging_restart_loop() -> None:
    stage = Stage(sup(child("a"), intensity=(8, 10))).boot()
    stage.failing = {"a"}
    stage.exit("a", "error")
    assert otp(stage.start, child("a")) == "already_present"
    assert otp(stage.restart, "a") == "restarting"
    assert otp(stage.delete, "a") == "restarting"
    assert (seen(stage), stage.counts) == ([("a", "restarting")], [1, 0, 0, 1])

    assert stage.terminate("a") == []
    assert seen(stage) == [("a", "stopped")]
    assert stage.retry() == []
    stage.failing = set()
    assert stage.restart("a") == ["+a"]
    stage.failing = {"a"}
    stage.exit("a", "error")
    assert (len(stage.retries), stage.stop(), stage.state.phase) == (1, [], "ended")
    assert stage.retry() == []


def test_hanging_restart_loop_rest_for_one() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one", intensity=(8, 10))).boot()
    stage.failing = {"b"}
    assert stage.exit("b", "error") == ["-c"]
    assert otp(stage.start, child("b")) == "already_present"
    assert otp(stage.restart, "b") == "restarting"
    assert otp(stage.delete, "b") == "restarting"
    assert seen(stage) == [("a", "running"), ("b", "restarting"), ("c", "stopped")]
    assert stage.counts == [3, 1, 0, 3]

    stage.terminate("b")
    assert seen(stage) == [("a", "running"), ("b", "stopped"), ("c", "stopped")]
    stage.failing = set()
    assert stage.restart("b") == ["+b"]
    stage.failing = {"b"}
    stage.exit("b", "error")
    assert stage.stop() == ["-a"]


def test_hanging_restart_loop_simple() -> None:
    stage = Stage(templated().model_copy(update={"intensity": Intensity(max_restarts=8, max_seconds=10)})).boot()
    stage.spawn()
    stage.failing = {"c/1"}
    stage.exit("c/1", "error")
    assert otp(stage.restart, "c/1") == "simple_one_for_one"
    assert otp(stage.delete, "c/1") == "simple_one_for_one"
    assert (seen(stage), stage.counts) == ([("c/1", "restarting")], [1, 0, 0, 1])
    stage.terminate("c/1")
    assert (stage.retry(), stage.known) == ([], [])
    assert stage.spawn() == ["+c/2"]
    stage.failing = {"c/2"}
    stage.exit("c/2", "error")
    assert (stage.stop(), stage.state.phase) == ([], "ended")


def test_a_failed_restart_is_tried_again_for_each_time_it_failed_once_it_runs_nothing_is_done() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one", intensity=(8, 10))).boot()
    stage.failing = {"b"}
    stage.exit("a", "error")
    stage.exit("a", "error")
    assert list(stage.retries) == ["b", "b"]
    stage.failing = set()
    assert stage.retry() == ["+b", "+c"]
    assert stage.retry() == []


def test_an_exit_that_comes_while_a_sibling_restarts_waits_its_turn() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="one_for_all")).boot()
    gone = stage.state.children[1].incarnation
    assert gone is not None
    assert stage.exit("a", "error") == ["-b", "+a", "+b"]
    assert stage.play(machine.on_exit(stage.state, Exit("b", gone, "error"), 0)) == []
