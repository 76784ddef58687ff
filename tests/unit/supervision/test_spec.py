"""Every invalid child spec is refused with words that name the fix."""

from typing import Any

import pytest
from pydantic import ValidationError

from maestro.errors import InvalidInput
from maestro.supervision.spec import ChildSpec, Intensity, Resources, child_spec

WORKER = {"id": "a", "start": "actors.relay:RelayActor"}
TREE = {"id": "top", "start": "actors.supervisor:SupervisorActor", "type": "supervisor"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id '' is not 1 to 128 of letters, digits, '_', '.', '/', '-', a letter or digit first"),
        ({"id": "a b"}, "id 'a b' is not 1 to 128 of letters, digits, '_', '.', '/', '-', a letter or digit first"),
        (
            {"start": "a.b.C"},
            "start 'a.b.C' is not an import path: write module:Class, such as actors.relay:RelayActor",
        ),
        (
            {"start": "a:b:c"},
            "start 'a:b:c' is not an import path: write module:Class, such as actors.relay:RelayActor",
        ),
        ({"args": {"a b": 1}}, "args 'a b' cannot be a keyword of a constructor: use another identifier"),
        ({"args": {"spec": 1}}, "args 'spec' is given by the supervisor itself: use another name"),
        ({"restart": "always"}, "restart 'always' is unknown: use permanent, transient, temporary"),
        ({"shutdown": -1}, "shutdown -1 is none of brutal_kill, infinity or milliseconds from 0 to 86400000"),
        ({"shutdown": True}, "shutdown True is none of brutal_kill, infinity or milliseconds from 0 to 86400000"),
        ({"shutdown": "soon"}, "shutdown 'soon' is none of brutal_kill, infinity or milliseconds from 0 to 86400000"),
        ({"start_ms": 0}, "start_ms 0 is not a whole number from 1 to 86400000"),
        ({"type": "agent"}, "type 'agent' is unknown: use worker, supervisor"),
        ({"strategy": "one_for_all"}, "worker 'a' has strategy: only a child of type supervisor may"),
        ({"id": "supervisor/a"}, "worker 'supervisor/a' has the name of a supervisor: choose another id"),
        (
            {"significant": True},
            "significant child 'a' is permanent, so it never ends for good: use transient or temporary",
        ),
    ],
)
def test_a_faulty_child_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChildSpec.model_validate({**WORKER, **change})
    assert refused.value.errors()[0]["msg"] == f"Value error, {message}"


TWICE = "is used twice under 'top': actor names are unique in the whole tree"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"strategy": "simple_one_for_one"},
            "strategy 'simple_one_for_one' is unknown: use one_for_one, one_for_all, rest_for_one, dynamic",
        ),
        ({"auto_shutdown": "often"}, "auto_shutdown 'often' is unknown: use never, any_significant, all_significant"),
        (
            {"strategy": "rest_for_one", "starts_together": True},
            "children of 'top' start in order under rest_for_one: leave starts_together out",
        ),
        (
            {"strategy": "dynamic", "auto_shutdown": "any_significant"},
            "children of 'top' come and go under dynamic: leave auto_shutdown out",
        ),
        ({"template": WORKER}, "template of 'top' has no use under one_for_one: use dynamic"),
        (
            {"strategy": "dynamic", "template": WORKER, "children": [{**WORKER, "id": "b"}]},
            "children of 'top' are made from its template: leave children out",
        ),
        (
            {"strategy": "dynamic", "template": {**TREE, "id": "b", "children": [WORKER]}},
            "template of 'top' has children: their ids would be the same in each copy",
        ),
        (
            {"strategy": "dynamic", "template": {**WORKER, "restart": "temporary", "significant": True}},
            "significant child 'a' has no effect: the auto_shutdown of its supervisor is never",
        ),
        ({"children": [WORKER, WORKER]}, f"id 'a' {TWICE}"),
        ({"children": [{**TREE, "id": "b", "children": [{**WORKER, "id": "top"}]}]}, f"id 'top' {TWICE}"),
        (
            {"children": [{**WORKER, "restart": "transient", "significant": True}]},
            "significant child 'a' has no effect: the auto_shutdown of its supervisor is never",
        ),
    ],
)
def test_a_faulty_supervisor_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChildSpec.model_validate({**TREE, **change})
    assert refused.value.errors()[0]["msg"] == f"Value error, {message}"


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (Intensity, {"max_restarts": -1}, "max_restarts -1 is not a whole number from 0 to 1000000"),
        (Intensity, {"max_restarts": 1.5}, "max_restarts 1.5 is not a whole number from 0 to 1000000"),
        (Intensity, {"max_seconds": 0}, "max_seconds 0 is not a whole number from 1 to 86400"),
        (Resources, {"num_gpus": -1}, "-1.0 is no share of a machine: use 0 to 1024"),
        (Resources, {"memory_bytes": 0}, "memory_bytes 0 is not above 0: leave it out for no limit"),
    ],
)
def test_a_faulty_limit_is_refused(model: type, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model(**fields)
    assert refused.value.errors()[0]["msg"] == f"Value error, {message}"


def test_unknown_fields_and_missing_ones_are_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        child_spec('{"id": "a", "start": "a:B", "silly_flag": true}')
    assert refused.value.field == "silly_flag"
    with pytest.raises(InvalidInput) as refused:
        child_spec('{"id": "a"}')
    assert refused.value.field == "start"
    with pytest.raises(InvalidInput, match="Invalid JSON"):
        child_spec("{")


def test_defaults_are_those_of_otp() -> None:
    worker, tree = ChildSpec.model_validate(WORKER), ChildSpec.model_validate(TREE)

    assert (worker.restart, worker.shutdown_or_default, worker.type) == ("permanent", 5000, "worker")
    assert (tree.strategy, tree.shutdown_or_default, tree.auto_shutdown) == ("one_for_one", "infinity", "never")
    assert tree.intensity == Intensity(max_restarts=3, max_seconds=5)


def test_a_whole_tree_survives_its_json() -> None:
    tree = ChildSpec.model_validate({**TREE, "strategy": "rest_for_one", "children": [WORKER, {**WORKER, "id": "b"}]})

    assert child_spec(tree.model_dump_json()) == tree
    assert child_spec(tree.model_dump_json(exclude_defaults=True)) == tree
    assert tree.ready_ms == 3 * 120_000
    assert [spec.id for spec in tree.walk()] == ["top", "a", "b"]
