"""A tool is its signature and what it declares; both are checked where it is written."""

from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

import maestro
from maestro.errors import InvalidInput, ToolNotFound, ToolValidationError
from maestro.tools.registry import Toolbox
from maestro.tools.spec import SideEffect, Tool, input_hash, tool


class Place(BaseModel):
    x: int
    y: int = 0


@tool(side_effect="pure", scopes=("map.read",), version=3)
async def look(at: Place, words: list[str], deep: bool = False) -> dict[str, JsonValue]:
    """What is there."""
    return {"at": [at.x, at.y], "words": list(words), "deep": deep}


@maestro.tool
def plain(text: str) -> str:
    return text


def test_the_schema_comes_from_the_signature() -> None:
    schema = look.spec.parameters
    assert schema["required"] == ["at", "words"]
    assert schema["additionalProperties"] is False
    assert (look.name, look.spec.description, look.spec.version) == ("look", "What is there.", 3)
    assert look.place == f"{__name__}:look"


def test_one_that_says_nothing_is_unsafe() -> None:
    assert (plain.spec.side_effect, plain.spec.runs, plain.spec.cacheable) == (SideEffect.UNSAFE, "worker", False)
    assert plain("x") == "x"


def test_arguments_are_json_with_their_defaults() -> None:
    assert look.arguments({"at": {"x": 1}, "words": []}) == {"at": {"x": 1, "y": 0}, "words": [], "deep": False}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "at"),
        ({"at": {"x": "far"}, "words": []}, "at.x"),
        ({"at": {"x": 1}, "words": [1]}, "words.0"),
        ({"at": {"x": 1}, "words": [], "more": 1}, "more"),
        ({"at": {"x": 1}, "words": [], "idempotency_key": "mine"}, "idempotency_key"),
        ({"at": {"x": 1}, "words": ["x" * 300_000]}, "arguments"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ToolValidationError) as refused:
        look.arguments(given)
    assert refused.value.field == field
    assert refused.value.hint


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"side_effect": "harmless"}, "side_effect"),
        ({"side_effect": "unsafe", "cacheable": True}, "cacheable"),
        ({"side_effect": "idempotent", "runs": "inline"}, "runs"),
        ({"side_effect": "keyed"}, "idempotency_key"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"version": 0}, "version"),
        ({"retries": 3}, "retries"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused_where_it_is_written(
    declared: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        tool(name="odd", **declared)(lambda: None)
    assert refused.value.field == field


def test_a_parameter_without_type_or_name_is_refused() -> None:
    def untyped(what):
        return what

    def rest(*what: str) -> None: ...

    for function in (untyped, rest):
        with pytest.raises(InvalidInput) as refused:
            tool(function)
        assert refused.value.field == "what"


def test_the_same_question_has_the_same_hash_and_another_tenant_another() -> None:
    asked: dict[str, JsonValue] = {"n": 1.0, "m": [{"b": 2, "a": 1}]}
    assert input_hash("a", look.spec, asked) == input_hash("a", look.spec, {"m": [{"a": 1.0, "b": 2}], "n": 1})
    assert input_hash("a", look.spec, asked) != input_hash("b", look.spec, asked)
    assert input_hash("a", look.spec, asked) != input_hash("a", plain.spec, asked)


@pytest.mark.parametrize("name", ["Look", "look ", "lооk", "nothing"])
def test_only_the_exact_name_finds_a_tool(name: str) -> None:
    with pytest.raises(ToolNotFound) as unknown:
        Toolbox([look, plain]).find(name)
    assert unknown.value.hint == "known: look, plain"


def test_a_module_is_a_box_of_tools_and_one_name_means_one_tool() -> None:
    box = Toolbox.load([__name__])
    assert {spec.name for spec in box.specs} == {"look", "plain"}
    with pytest.raises(InvalidInput, match="both the tool 'plain'"):
        Toolbox([plain, tool(name="plain")(lambda: None)])
    with pytest.raises(InvalidInput, match="cannot import"):
        Toolbox.load(["no.such.module"])


def test_a_tool_found_by_its_place_is_a_tool() -> None:
    assert isinstance(look, Tool)
