"""OTP's group significant: children whose end ends their supervisor, and upgrades of it."""

from itertools import product

import pytest
from pydantic import ValidationError

from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import ExitKind
from tests.unit.supervision.stage import Stage, child, sup
from tests.unit.supervision.test_otp_requests import otp
from tests.unit.supervision.test_otp_start_stop import templated

ENDS: list[ExitKind] = ["normal", "shutdown", "killed", "error"]
POLICIES = ["never", "any_significant", "all_significant"]


def shutting(policy: str, *children: ChildSpec, **flags: object) -> Stage:
    return Stage(sup(*children, auto_shutdown=policy, **flags)).boot()  # type: ignore[arg-type]


def vital(name: str, restart: str = "transient") -> ChildSpec:
    return child(name, restart, significant=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_nonsignificant_temporary(policy: str) -> None:
    stage = shutting(policy, child("a", "temporary"))
    stage.terminate("a")
    for kind in ENDS:
        stage.start(child("a", "temporary"))
        assert stage.exit("a", kind) == []
    assert (stage.gave_up, stage.state.phase) == (None, "up")


@pytest.mark.parametrize("policy", POLICIES)
def test_nonsignificant_transient(policy: str) -> None:
    stage = shutting(policy, child("a", "transient"))
    stage.terminate("a")
    assert stage.restart("a") == ["+a"]
    assert [stage.exit("a", kind) for kind in ("killed", "error", "normal")] == [["+a"], ["+a"], []]
    assert (stage.gave_up, stage.state.phase) == (None, "up")


@pytest.mark.parametrize("kind", ENDS)
def test_significant_temporary(kind: ExitKind) -> None:
    children = (vital("a", "temporary"), vital("b", "temporary"), child("c", "temporary"))
    stage = shutting("any_significant", *children)
    assert stage.terminate("a") == ["-a"]
    assert stage.gave_up is None
    stage.start(vital("a", "temporary"))
    assert stage.exit("a", kind) == ["-c", "-b"]
    assert stage.gave_up == f"auto_shutdown: a {kind}"

    stage = shutting("all_significant", *children)
    assert stage.exit("a", kind) == []
    assert stage.exit("b", kind) == ["-c"]
    assert stage.gave_up == f"auto_shutdown: b {kind}"


def test_significant_transient() -> None:
    children = (vital("a"), vital("b"), child("c", "transient"))
    stage = shutting("any_significant", *children)
    assert [stage.terminate("a"), stage.restart("a")] == [["-a"], ["+a"]]
    assert [stage.exit("a", "killed"), stage.exit("a", "error")] == [["+a"], ["+a"]]
    assert stage.gave_up is None
    assert stage.exit("a", "normal") == ["-c", "-b"]
    assert stage.gave_up == "auto_shutdown: a normal"

    stage = shutting("all_significant", *children)
    assert stage.exit("a", "normal") == []
    assert stage.exit("b", "shutdown") == ["-c"]
    assert stage.gave_up == "auto_shutdown: b shutdown"


def test_significant_child_on_its_way_back_counts_as_alive() -> None:
    stage = shutting("all_significant", vital("a"), vital("b"))
    stage.failing = {"a"}
    stage.exit("a", "error")
    stage.exit("b", "normal")
    assert stage.gave_up is None


def test_significant_simple() -> None:
    for policy in ("any_significant", "all_significant"):
        with pytest.raises(
            ValidationError, match="children of 'top' come and go under dynamic: leave auto_shutdown out"
        ):
            sup(strategy="dynamic", auto_shutdown=policy)
        with pytest.raises(ValidationError, match="leave auto_shutdown out"):
            sup(strategy="dynamic", auto_shutdown=policy, template=child("c"))
    assert Stage(templated()).boot().stop() == []


@pytest.mark.parametrize(
    ("strategy", "policy"), list(product(["one_for_one", "one_for_all", "rest_for_one"], POLICIES[1:]))
)
def test_significant_bystander(strategy: str, policy: str) -> None:
    stage = shutting(policy, vital("a"), child("b", "transient"), vital("c"), strategy=strategy)
    played = {
        "one_for_one": ["+b"],
        "one_for_all": ["-c", "-a", "+a", "+b", "+c"],
        "rest_for_one": ["-c", "+b", "+c"],
    }
    assert stage.exit("b", "killed") == played[strategy]
    assert (stage.gave_up, stage.running) == (None, ["a", "b", "c"])


@pytest.mark.parametrize("significant", [True, False])
def test_significant_escalation(significant: bool) -> None:
    inner = sup(vital("x"), id="inner", restart="transient", significant=significant, auto_shutdown="any_significant")
    below = Stage(inner).boot()
    below.exit("x", "normal")
    assert below.gave_up == "auto_shutdown: x normal"

    above = shutting("any_significant", inner, child("b"))
    assert above.exit("inner", "shutdown", below.gave_up) == (["-b"] if significant else [])
    assert (above.gave_up is not None) is significant


def upgraded(before: str, after: str) -> Stage:
    """Two significant children where `before` allows them, then the supervisor follows `after`."""
    stage = shutting(before)
    if before == "never":
        assert otp(stage.start, vital("a")) == "bad_combination"
    else:
        stage.start(vital("a"))
        stage.start(vital("b"))
    stage.change(sup(auto_shutdown=after))
    assert (stage.gave_up, stage.state.phase) == (None, "up")
    if before == "never":
        stage.start(vital("a"))
        stage.start(vital("b"))
    return stage


def test_significant_upgrade_never_any() -> None:
    stage = upgraded("never", "any_significant")
    assert (stage.exit("a", "normal"), stage.gave_up) == (["-b"], "auto_shutdown: a normal")


def test_significant_upgrade_any_never() -> None:
    stage = upgraded("any_significant", "never")
    assert otp(stage.start, vital("c")) == "bad_combination"
    assert (stage.exit("a", "normal"), stage.gave_up) == ([], None)
    assert stage.restart("a") == ["+a"]


def test_significant_upgrade_never_all() -> None:
    stage = upgraded("never", "all_significant")
    assert stage.exit("a", "normal") == []
    assert (stage.gave_up, stage.exit("b", "normal"), stage.state.phase) == (None, [], "ended")


def test_significant_upgrade_all_never() -> None:
    stage = upgraded("all_significant", "never")
    assert otp(stage.start, vital("c")) == "bad_combination"
    assert (stage.exit("a", "normal"), stage.exit("b", "normal"), stage.gave_up) == ([], [], None)
    assert stage.restart("a") == ["+a"]


def test_significant_upgrade_any_all() -> None:
    stage = upgraded("any_significant", "all_significant")
    assert (stage.exit("a", "normal"), stage.gave_up) == ([], None)
    stage.exit("b", "normal")
    assert stage.gave_up == "auto_shutdown: b normal"


def test_significant_upgrade_all_any() -> None:
    stage = upgraded("all_significant", "any_significant")
    assert (stage.exit("a", "normal"), stage.gave_up) == (["-b"], "auto_shutdown: a normal")


def test_significant_upgrade_child() -> None:
    plain, marked = child("c", "transient"), vital("c")
    with pytest.raises(ValidationError, match="the auto_shutdown of its supervisor is never"):
        shutting("never", plain).change(sup(marked))

    stage = shutting("any_significant", plain)
    stage.change(sup(marked, auto_shutdown="any_significant"))
    stage.exit("c", "normal")
    assert stage.gave_up == "auto_shutdown: c normal"

    stage = shutting("any_significant", marked)
    stage.change(sup(plain, auto_shutdown="any_significant"))
    stage.exit("c", "normal")
    assert stage.gave_up is None
