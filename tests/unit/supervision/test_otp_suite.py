"""The cases of Erlang/OTP's supervisor_SUITE that apply, each under its own name.

Left out, since there is nothing of theirs here: start functions that return `ignore` (5 cases), code_change and
significant_upgrade (11), log formats and callback modules (4), link tricks (child_unlink), extra_return,
simple_global_supervisor, already_started_outside_supervisor, and one scale case that measures time. Processes that do
not obey are shown on Ray (tests/e2e).
"""

import pytest

from maestro.errors import Conflict, InvalidInput, NotFound
from maestro.supervision import machine
from maestro.supervision.state import ExitKind, StopChild
from tests.unit.supervision.stage import Stage, child, sup

ENDS_WELL: list[ExitKind] = ["normal", "shutdown"]
ENDS_BADLY: list[ExitKind] = ["killed", "error", "node_lost"]
ENDS = [*ENDS_WELL, *ENDS_BADLY]


# ---------------------------------------------------------------- start and stop


def test_sup_start_normal() -> None:
    stage = Stage(sup()).boot()
    assert (stage.state.phase, stage.counts) == ("up", [0, 0, 0, 0])
    assert stage.stop() == []
    assert stage.state.phase == "ended"


def test_sup_start_fail() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c")), failing={"b"}).boot()
    assert stage.played == ["+a", "-a"]
    assert stage.gave_up == "failed_to_start_child b: no luck"


def test_sup_start_map() -> None:
    started = Stage(sup(child("a"), child("b", shutdown="brutal_kill"), sup(id="c"))).boot()
    _, stops = machine.stop_all(started.state)
    assert [(stop.spec.id, stop.shutdown) for stop in stops if isinstance(stop, StopChild)] == [
        ("c", "infinity"),
        ("b", "brutal_kill"),
        ("a", 5000),
    ]


@pytest.mark.parametrize("shutdown", ["infinity", "brutal_kill", 1000])
def test_sup_stop_infinity_sup_stop_timeout_sup_stop_brutal_kill(shutdown: str | int) -> None:
    stage = Stage(sup(child("a"), child("b", shutdown=shutdown))).boot()
    _, stops = machine.stop_all(stage.state)
    assert [(stop.spec.id, stop.shutdown) for stop in stops if isinstance(stop, StopChild)] == [
        ("b", shutdown),
        ("a", 5000),
    ]


def test_order_of_children() -> None:
    stage = Stage(sup(*(child(name) for name in "abcdef"))).boot()
    assert stage.played == ["+a", "+b", "+c", "+d", "+e", "+f"]
    assert stage.exit("c", "killed") == ["+c"]
    assert stage.known == list("abcdef")
    assert stage.stop() == ["-f", "-e", "-d", "-c", "-b", "-a"]


# ---------------------------------------------------------------- children at run time


def test_child_adm() -> None:
    stage = Stage(sup(child("a"))).boot()
    assert stage.counts == [1, 1, 0, 1]
    assert stage.play(machine.terminate_child(stage.state, "a")) == ["-a"]
    assert stage.counts == [1, 0, 0, 1]
    assert stage.play(machine.terminate_child(stage.state, "a")) == []
    stage.state = machine.delete_child(stage.state, "a")
    for call in (machine.delete_child, machine.restart_child, machine.terminate_child):
        with pytest.raises(NotFound):
            call(stage.state, "a")

    assert stage.play(machine.start_child(stage.state, child("b"))) == ["+b"]
    for refused in (
        lambda: machine.start_child(stage.state, child("b")),
        lambda: machine.restart_child(stage.state, "b"),
    ):
        with pytest.raises(Conflict, match="running"):
            refused()
    with pytest.raises(Conflict, match="child 'b' is running"):
        machine.delete_child(stage.state, "b")
    stage.play(machine.terminate_child(stage.state, "b"))
    with pytest.raises(Conflict, match="child 'b' is stopped already"):
        machine.start_child(stage.state, child("b"))
    assert stage.play(machine.restart_child(stage.state, "b")) == ["+b"]


def test_child_adm_failures_leave_what_was() -> None:
    stage = Stage(sup(child("a")), failing={"a!", "b"})
    stage.state = machine.start_all(machine.supervisor(sup()))[0]
    stage.play(machine.start_child(stage.state, child("b")))
    assert (stage.known, stage.gave_up, list(stage.retries)) == ([], None, [])
    stage.play(machine.start_child(stage.state, child("c")))
    stage.play(machine.terminate_child(stage.state, "c"))
    stage.failing = {"c"}
    stage.play(machine.restart_child(stage.state, "c"))
    assert (stage.known, stage.running, list(stage.retries)) == (["c"], [], [])


def test_child_adm_simple() -> None:
    stage = Stage(sup(strategy="dynamic")).boot()
    stage.play(machine.start_child(stage.state, child("a")))
    stage.play(machine.start_child(stage.state, child("b")))
    assert stage.counts == [2, 2, 0, 2]
    assert stage.play(machine.terminate_child(stage.state, "a")) == ["-a"]
    assert stage.known == ["b"]
    with pytest.raises(NotFound):
        machine.restart_child(stage.state, "a")


def test_sup_flags_and_child_specs_are_checked_at_start_child() -> None:
    stage = Stage(sup()).boot()
    with pytest.raises(InvalidInput, match="the auto_shutdown of its supervisor is never"):
        machine.start_child(stage.state, child("a", "transient", significant=True))


def test_which_children() -> None:
    stage = Stage(sup(child("a"), sup(id="b"), child("c", "temporary"))).boot()
    children = machine.which_children(stage.state)
    assert [(c.id, c.spec.type, c.standing) for c in children] == [
        ("a", "worker", "running"),
        ("b", "supervisor", "running"),
        ("c", "worker", "running"),
    ]


def test_which_children_simple_one_for_one() -> None:
    stage = Stage(sup(strategy="dynamic")).boot()
    for name in "ab":
        stage.play(machine.start_child(stage.state, child(name)))
    assert [c.id for c in machine.which_children(stage.state)] == ["a", "b"]


def test_count_children_count_children_supervisor() -> None:
    stage = Stage(sup(child("a"), sup(id="b"), child("c"))).boot()
    assert stage.counts == [3, 3, 1, 2]
    stage.play(machine.terminate_child(stage.state, "b"))
    assert stage.counts == [3, 2, 1, 2]


def test_count_restarting_children() -> None:
    stage = Stage(sup(child("a"), child("b"), intensity=(9, 5))).boot()
    stage.failing = {"a"}
    stage.exit("a", "killed")
    assert stage.counts == [2, 1, 0, 2]
    stage.failing = set()
    stage.retry()
    assert stage.counts == [2, 2, 0, 2]


def test_tree() -> None:
    inner = sup(child("x"), id="inner", strategy="one_for_all")
    stage = Stage(sup(inner, child("a"))).boot()
    assert stage.exit("inner", "killed") == ["+inner"]
    assert stage.stop() == ["-a", "-inner"]


# ---------------------------------------------------------------- permanent, transient, temporary


@pytest.mark.parametrize("kind", ENDS)
def test_permanent_normal_permanent_shutdown_permanent_abnormal(kind: ExitKind) -> None:
    stage = Stage(sup(child("a"))).boot()
    assert stage.exit("a", kind) == ["+a"]
    assert stage.counts == [1, 1, 0, 1]


@pytest.mark.parametrize("kind", ENDS_WELL)
def test_transient_normal_transient_shutdown(kind: ExitKind) -> None:
    stage = Stage(sup(child("a", "transient"))).boot()
    assert stage.exit("a", kind) == []
    assert stage.counts == [1, 0, 0, 1]


@pytest.mark.parametrize("kind", ENDS_BADLY)
def test_transient_abnormal(kind: ExitKind) -> None:
    stage = Stage(sup(child("a", "transient"))).boot()
    assert stage.exit("a", kind) == ["+a"]


@pytest.mark.parametrize("kind", ENDS)
def test_temporary_normal_temporary_shutdown_temporary_abnormal(kind: ExitKind) -> None:
    stage = Stage(sup(child("a", "temporary"))).boot()
    assert stage.exit("a", kind) == []
    assert stage.counts == [0, 0, 0, 0]


@pytest.mark.parametrize(("strategy", "played"), [("one_for_all", ["-t", "+p"]), ("rest_for_one", ["-t", "+p"])])
def test_temporary_bystander(strategy: str, played: list[str]) -> None:
    stage = Stage(sup(child("p"), child("t", "temporary"), strategy=strategy)).boot()
    assert stage.exit("p", "killed") == played
    assert stage.known == ["p"]


def test_do_not_save_child_specs_for_temporary_children() -> None:
    stage = Stage(sup(child("t", "temporary"))).boot()
    stage.play(machine.terminate_child(stage.state, "t"))
    with pytest.raises(NotFound):
        machine.restart_child(stage.state, "t")
    assert stage.play(machine.start_child(stage.state, child("t", "temporary"))) == ["+t"]


# ---------------------------------------------------------------- strategies and escalation


def test_multiple_restarts() -> None:
    stage = Stage(sup(child("a"), intensity=(2, 1))).boot()
    for second in range(10):
        stage.now_ms = 600 * second
        assert stage.exit("a", "killed") == ["+a"]
    stage.now_ms += 10
    stage.exit("a", "killed")
    assert stage.gave_up is not None


def test_one_for_one() -> None:
    stage = Stage(sup(child("a"), child("b"))).boot()
    assert stage.exit("a", "error") == ["+a"]
    assert stage.running == ["a", "b"]


def test_one_for_one_escalation() -> None:
    stage = Stage(sup(child("a"), child("b"), intensity=(4, 3600)), failing=set()).boot()
    stage.failing = {"a"}
    assert stage.exit("a", "error") == []
    assert [stage.retry() for _ in range(4)] == [[], [], [], ["-b"]]
    assert stage.gave_up == "reached_max_restart_intensity: a error"


def test_one_for_all() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="one_for_all")).boot()
    assert stage.exit("a", "error") == ["-b", "+a", "+b"]


def test_one_for_all_escalation() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="one_for_all", intensity=(4, 3600))).boot()
    stage.failing = {"a"}
    assert stage.exit("a", "error") == ["-b"]
    assert [stage.retry() for _ in range(4)] == [[], [], [], []]
    assert stage.gave_up is not None
    assert stage.running == []


def test_one_for_all_other_child_fails_restart() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="one_for_all", intensity=(3, 3600))).boot()
    stage.failing = {"b!"}
    assert stage.exit("a", "error") == ["-c", "-b", "+a"]
    assert list(stage.retries) == ["b"]
    assert stage.retry() == ["-a", "+a", "+b", "+c"]
    assert stage.counts == [3, 3, 0, 3]


def test_simple_one_for_one() -> None:
    stage = Stage(sup(strategy="dynamic")).boot()
    for name in "ab":
        stage.play(machine.start_child(stage.state, child(name)))
    assert stage.exit("a", "error") == ["+a"]
    stage.play(machine.start_child(stage.state, child("c", "transient")))
    stage.exit("c", "normal")
    assert stage.known == ["a", "b"]


def test_simple_one_for_one_shutdown() -> None:
    stage = Stage(sup(strategy="dynamic")).boot()
    for name in "abc":
        stage.play(machine.start_child(stage.state, child(name)))
    assert stage.stop() == ["-c|b|a"]


def test_simple_one_for_one_escalation() -> None:
    stage = Stage(sup(strategy="dynamic", intensity=(4, 3600))).boot()
    for name in "ab":
        stage.play(machine.start_child(stage.state, child(name)))
    stage.failing = {"a"}
    stage.exit("a", "error")
    assert [stage.retry() for _ in range(4)] == [[], [], [], ["-b"]]
    assert stage.gave_up is not None


def test_simple_one_for_one_scale_many_temporary_children() -> None:
    stage = Stage(sup(strategy="dynamic")).boot()
    for number in range(200):
        stage.play(machine.start_child(stage.state, child(f"c{number}", "temporary")))
    for number in range(200):
        assert stage.exit(f"c{number}", "killed") == []
    assert stage.counts == [0, 0, 0, 0]


def test_rest_for_one() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one")).boot()
    assert stage.exit("b", "error") == ["-c", "+b", "+c"]


def test_rest_for_one_escalation() -> None:
    stage = Stage(sup(child("a"), child("b"), strategy="rest_for_one", intensity=(4, 3600))).boot()
    stage.failing = {"a"}
    assert stage.exit("a", "error") == ["-b"]
    assert [stage.retry() for _ in range(4)] == [[], [], [], []]
    assert stage.gave_up is not None


def test_rest_for_one_other_child_fails_restart() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one", intensity=(3, 3600))).boot()
    stage.failing = {"b!"}
    assert stage.exit("a", "error") == ["-c", "-b", "+a"]
    assert [c.standing for c in stage.state.children] == ["running", "restarting", "stopped"]
    assert stage.retry() == ["+b", "+c"]
    assert stage.running == ["a", "b", "c"]


# ---------------------------------------------------------------- restarts that fail: a stop gets in between


def test_hanging_restart_loop() -> None:
    stage = Stage(sup(child("a"), child("b"), intensity=(8, 10))).boot()
    stage.failing = {"a"}
    stage.exit("a", "error")
    stage.play(machine.terminate_child(stage.state, "a"))
    assert stage.retry() == []
    assert stage.counts == [2, 1, 0, 2]
    with pytest.raises(Conflict, match="child 'b' is running"):
        machine.delete_child(stage.state, "b")
    assert stage.stop() == ["-b"]


def test_hanging_restart_loop_rest_for_one() -> None:
    stage = Stage(sup(child("a"), child("b"), child("c"), strategy="rest_for_one", intensity=(8, 10))).boot()
    stage.failing = {"b"}
    assert stage.exit("a", "error") == ["-c", "-b", "+a"]
    assert stage.exit("a", "error") == ["+a"]
    assert list(stage.retries) == ["b", "b"]
    stage.failing = set()
    assert stage.retry() == ["+b", "+c"]
    assert stage.retry() == []


def test_hanging_restart_loop_simple() -> None:
    stage = Stage(sup(strategy="dynamic", intensity=(8, 10))).boot()
    stage.play(machine.start_child(stage.state, child("a")))
    stage.failing = {"a"}
    stage.exit("a", "error")
    with pytest.raises(Conflict, match="child 'a' is restarting"):
        machine.start_child(stage.state, child("a"))
    stage.play(machine.terminate_child(stage.state, "a"))
    assert (stage.retry(), stage.known) == ([], [])


# ---------------------------------------------------------------- significant children


def shutting(policy: str, *children: object, strategy: str = "one_for_one") -> Stage:
    return Stage(sup(*children, strategy=strategy, auto_shutdown=policy)).boot()  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["any_significant", "all_significant"])
@pytest.mark.parametrize("kind", ENDS)
def test_nonsignificant_temporary(policy: str, kind: ExitKind) -> None:
    stage = shutting(policy, child("a", "temporary"))
    assert stage.exit("a", kind) == []
    assert stage.gave_up is None


@pytest.mark.parametrize("policy", ["any_significant", "all_significant"])
def test_nonsignificant_transient(policy: str) -> None:
    stage = shutting(policy, child("a", "transient"))
    stage.exit("a", "normal")
    assert stage.gave_up is None


@pytest.mark.parametrize("kind", ENDS)
def test_significant_temporary(kind: ExitKind) -> None:
    stage = shutting("any_significant", child("a", "temporary", significant=True), child("b"))
    assert stage.exit("a", kind) == ["-b"]
    assert stage.gave_up == f"auto_shutdown: a {kind}"

    stage = shutting(
        "all_significant",
        child("a", "temporary", significant=True),
        child("b", "temporary", significant=True),
    )
    stage.exit("a", kind)
    assert stage.gave_up is None
    stage.exit("b", kind)
    assert stage.gave_up == f"auto_shutdown: b {kind}"


@pytest.mark.parametrize("policy", ["any_significant", "all_significant"])
def test_significant_transient(policy: str) -> None:
    stage = shutting(policy, child("a", "transient", significant=True))
    assert stage.exit("a", "error") == ["+a"]
    assert stage.gave_up is None
    stage.exit("a", "shutdown")
    assert stage.gave_up == "auto_shutdown: a shutdown"


def test_significant_child_on_its_way_back_counts_as_alive() -> None:
    stage = shutting(
        "all_significant",
        child("a", "transient", significant=True),
        child("b", "transient", significant=True),
    )
    stage.failing = {"a"}
    stage.exit("a", "error")
    stage.exit("b", "normal")
    assert stage.gave_up is None


def test_significant_simple() -> None:
    stage = shutting("all_significant", strategy="dynamic")
    for name in "ab":
        stage.play(machine.start_child(stage.state, child(name, "temporary", significant=True)))
    stage.exit("a", "error")
    assert stage.gave_up is None
    stage.exit("b", "normal")
    assert stage.gave_up is not None


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_significant_bystander(strategy: str) -> None:
    stage = shutting("any_significant", child("p"), child("t", "temporary", significant=True), strategy=strategy)
    assert stage.exit("p", "error") == ["-t", "+p"]
    assert stage.gave_up is None


def test_significant_children_stopped_by_hand_do_not_count() -> None:
    stage = shutting("any_significant", child("a", "transient", significant=True))
    stage.play(machine.terminate_child(stage.state, "a"))
    assert stage.gave_up is None


def test_significant_escalation() -> None:
    inner = sup(
        child("x", "temporary", significant=True),
        id="inner",
        restart="transient",
        significant=True,
        auto_shutdown="any_significant",
    )
    below = Stage(inner).boot()
    below.exit("x", "normal")
    assert below.gave_up is not None

    above = shutting("any_significant", inner, child("b"))
    assert above.exit("inner", "shutdown", below.gave_up) == ["-b"]
    assert above.gave_up is not None
