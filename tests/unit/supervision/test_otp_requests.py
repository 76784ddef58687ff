"""OTP's cases about what may be asked of a supervisor: functions, checks, counts. Each refusal bears OTP's word."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from maestro.errors import InvalidInput, MaestroError
from maestro.supervision.spec import ChildSpec, Intensity
from tests.unit.supervision.stage import START, Stage, child, sup
from tests.unit.supervision.test_otp_start_stop import templated


def otp(ask: Callable[..., object], *args: Any) -> object:
    """OTP's word for the refusal."""
    with pytest.raises(MaestroError) as refused:
        ask(*args)
    return refused.value.facts["otp"]


def seen(stage: Stage) -> list[tuple[str, str]]:
    return [(c.id, c.standing) for c in stage.state.children]


def test_child_adm() -> None:
    stage = Stage(sup(child("a"))).boot()
    assert (seen(stage), stage.counts) == ([("a", "running")], [1, 1, 0, 1])
    assert otp(stage.start, child("a")) == "already_started"

    assert otp(stage.terminate, "hej") == "not_found"
    assert stage.terminate("a") == ["-a"]
    assert (seen(stage), stage.counts) == ([("a", "stopped")], [1, 0, 0, 1])
    assert stage.terminate("a") == []
    assert otp(stage.start, child("a")) == "already_present"

    assert stage.restart("a") == ["+a"]
    assert otp(stage.restart, "a") == "running"
    assert otp(stage.restart, "b") == "not_found"

    assert otp(stage.delete, "a") == "running"
    assert otp(stage.delete, "hej") == "not_found"
    stage.terminate("a")
    stage.delete("a")
    assert otp(stage.restart, "a") == "not_found"
    assert (seen(stage), stage.counts) == ([], [0, 0, 0, 0])

    assert stage.start(child("a")) == ["+a"]
    assert stage.counts == [1, 1, 0, 1]
    stage.stop()
    for ask in (stage.terminate, stage.delete, stage.restart):
        assert otp(ask, "a") == "noproc"
    assert otp(stage.start, child("b")) == "noproc"


def test_child_adm_simple() -> None:
    stage = Stage(templated()).boot()
    assert (seen(stage), stage.counts) == ([], [1, 0, 0, 0])
    assert stage.spawn() == ["+c/1"]
    assert stage.counts == [1, 1, 0, 1]
    assert stage.spawn(n=2) == ["+c/2"]
    assert stage.counts == [1, 2, 0, 2]

    assert stage.terminate("c/1") == ["-c/1"]
    assert stage.counts == [1, 1, 0, 1]
    assert stage.terminate("c/1") == []
    for stranger in ("c/3", "c/0", "c/x", "d/1", "hej"):
        assert otp(stage.terminate, stranger) == "not_found"
    assert otp(stage.restart, "c/2") == "simple_one_for_one"
    assert otp(stage.delete, "c/2") == "simple_one_for_one"
    assert otp(stage.start, child("a")) == "simple_one_for_one"
    assert otp(Stage(sup(strategy="dynamic")).boot().spawn) == "no_template"


def test_child_adm_simple_arguments_come_on_top_of_those_of_the_template() -> None:
    stage = Stage(sup(strategy="dynamic", template=child("c", args={"a": 1, "b": 1}))).boot()
    stage.spawn(b=2, c=3)
    assert stage.state.children[0].spec.args == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(InvalidInput, match="is given by the supervisor itself"):
        stage.spawn(incarnation="mine")
    assert stage.known == ["c/1"]


def test_a_dynamic_supervisor_without_a_template_takes_whole_specs_as_elixirs_does() -> None:
    stage = Stage(sup(strategy="dynamic")).boot()
    stage.start(child("a"))
    stage.start(child("b"))
    assert stage.counts == [2, 2, 0, 2]
    assert stage.terminate("a") == ["-a"]
    assert stage.known == ["b"]
    assert otp(stage.restart, "a") == "not_found"


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"start": "mfa"}, "start 'mfa' is not an import path: write module:Class, such as actors.relay:RelayActor"),
    ({"restart": "prmanent"}, "restart 'prmanent' is unknown: use permanent, transient, temporary"),
    ({"shutdown": -10}, "shutdown -10 is none of brutal_kill, infinity or milliseconds from 0 to 86400000"),
    ({"type": "wrker"}, "type 'wrker' is unknown: use worker, supervisor"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_child_specs(fault: dict[str, Any], message: str) -> None:
    good = {"id": "child", "start": START}
    for data in (
        {**good, **fault},
        {**TOP, "children": [{**good, **fault}]},
        {**SIMPLE, "template": {**good, **fault}},
    ):
        with pytest.raises(ValidationError) as refused:
            ChildSpec.model_validate(data)
        assert refused.value.errors()[0]["msg"] == f"Value error, {message}"
    with pytest.raises(ValidationError, match="id 'child' is used twice under 'top'"):
        ChildSpec.model_validate({**TOP, "children": [good, good]})


TOP = {"id": "top", "start": START, "type": "supervisor"}
SIMPLE = {**TOP, "strategy": "dynamic"}


def test_child_specs_map() -> None:
    for restart, shutdown, kind, significant, policy in product(
        (None, "permanent", "transient", "temporary"),
        (None, 0, 1000, "infinity", "brutal_kill"),
        (None, "supervisor", "worker"),
        (None, True, False),
        (None, "never", "any_significant", "all_significant"),
    ):
        told = {"restart": restart, "shutdown": shutdown, "type": kind, "significant": significant}
        given = {"id": "child", "start": START, **{name: value for name, value in told.items() if value is not None}}
        whole = {**TOP, "children": [given], **({"auto_shutdown": policy} if policy else {})}
        bad = significant and (restart in (None, "permanent") or policy in (None, "never"))
        if bad:
            with pytest.raises(ValidationError, match="significant child 'child'"):
                ChildSpec.model_validate(whole)
        else:
            ChildSpec.model_validate(whole)
    for fault in ({}, {"id": "child"}, {"start": START}, {"id": "child", "start": START, "significant": "maybe"}):
        with pytest.raises(ValidationError):
            ChildSpec.model_validate(fault)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"strategy": "none_for_one"}, "strategy 'none_for_one' is unknown"),
        ({"intensity": {"max_restarts": "infinity"}}, "max_restarts 'infinity' is not a whole number from 0"),
        ({"intensity": {"max_restarts": -1}}, "max_restarts -1 is not a whole number from 0"),
        ({"intensity": {"max_seconds": 0}}, "max_seconds 0 is not a whole number from 1"),
        ({"intensity": {"max_seconds": "infinity"}}, "max_seconds 'infinity' is not a whole number from 1"),
        ({"intensity": [2]}, "Input should be a valid dictionary or instance of Intensity"),
        ({"auto_shutdown": "sometimes"}, "auto_shutdown 'sometimes' is unknown"),
    ],
)
def test_sup_flags(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ChildSpec.model_validate({**TOP, **flags})
    assert Intensity() == Intensity(max_restarts=3, max_seconds=5)


def test_which_children() -> None:
    stage = Stage(sup()).boot()
    assert seen(stage) == []
    assert otp(stage.standing, "x") == "not_found"
    stage.start(child("a"))
    stage.start(child("b"))
    stage.terminate("a")
    assert (seen(stage), stage.standing("a")) == ([("a", "stopped"), ("b", "running")], "stopped")
    stage.delete("a")
    assert otp(stage.standing, "a") == "not_found"
    assert stage.standing("b") == "running"


def test_which_children_simple_one_for_one() -> None:
    stage = Stage(templated("temporary")).boot()
    stage.spawn()
    stage.spawn()
    assert seen(stage) == [("c/1", "running"), ("c/2", "running")]
    stage.terminate("c/1")
    assert (seen(stage), stage.standing("c/2")) == ([("c/2", "running")], "running")
    assert otp(stage.standing, "c/1") == "not_found"


def test_count_children() -> None:
    stage = Stage(templated("temporary")).boot()
    for _ in range(200):
        stage.spawn()
    assert stage.counts == [1, 200, 0, 200]
    for name in stage.known:
        stage.exit(name, "killed")
    assert stage.counts == [1, 0, 0, 0]


def test_count_children_supervisor() -> None:
    stage = Stage(sup(strategy="dynamic", template=sup(id="c", restart="temporary"))).boot()
    for _ in range(200):
        stage.spawn()
    assert stage.counts == [1, 200, 200, 0]
    for name in stage.known:
        stage.exit(name, "killed")
    assert stage.counts == [1, 0, 0, 0]


def test_count_restarting_children() -> None:
    stage = Stage(templated().model_copy(update={"intensity": Intensity(max_restarts=20, max_seconds=10)})).boot()
    for _ in range(3):
        stage.spawn()
    stage.failing = {"c/1", "c/2"}
    stage.exit("c/1", "error")
    stage.exit("c/2", "error")
    assert stage.counts == [1, 1, 0, 3]
    stage.failing = set()
    stage.retry()
    stage.retry()
    assert stage.counts == [1, 3, 0, 3]
    for left, name in ((2, "c/3"), (1, "c/1"), (0, "c/2")):
        stage.terminate(name)
        assert stage.counts == [1, left, 0, left]
