"""A chain of migrations is checked where it is written, and each step where it runs."""

import asyncio
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue, model_validator

from maestro.errors import InvalidInput, Unservable
from maestro.tick.behaviour import Behaviour, Repertoire, migrated, state_of
from maestro.tick.migration import RawState, migrates


class Notes(BaseModel):
    seen: list[str] = []


def kind(version: int = 3, name: str = "Scout", **body: Any) -> type[Behaviour[Any]]:
    """A behaviour class with that body, as a class statement makes it."""
    base: Any = Behaviour[Notes]
    return types.new_class(name, (base,), exec_body=lambda namespace: namespace.update(version=version, **body))


def step(from_version: int, work: Callable[[Any], Any] = lambda state: state) -> Any:
    def migrate(state: RawState) -> RawState:
        return work(state)  # type: ignore[no-any-return]

    return migrates(from_version)(migrate)


async def asynchronous(state: RawState) -> RawState:
    return state


def bound(self: object, state: RawState) -> RawState:
    return state


def of_the_class(cls: object) -> RawState:
    return {}


def two(state: RawState, other: RawState) -> RawState:
    return state


def none() -> RawState:
    return {}


def yielding(state: RawState) -> Any:
    yield state


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (asynchronous, "asynchronous cannot migrate a state: it is async"),
        (bound, "it takes self"),
        (of_the_class, "it takes cls"),
        (two, "it takes 2 arguments, not one state"),
        (none, "it takes 0 arguments"),
        (yielding, "it yields"),
        (classmethod(of_the_class), "it is no plain function"),
        (dict, "it is no plain function"),
    ],
)
def test_what_is_no_function_of_a_state_is_refused_where_it_is_written(function: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        migrates(1)(function)
    assert refused.value.hint == "write `def step(state: RawState) -> RawState:`, without self and without async"


@pytest.mark.parametrize("version", [0, -1, True, "1", asynchronous])
def test_a_step_says_from_which_version_it_leads(version: Any) -> None:
    with pytest.raises(InvalidInput, match="@migrates takes the version that it starts from"):
        migrates(version)


def test_a_gap_names_the_class_and_what_is_missing() -> None:
    with pytest.raises(InvalidInput, match=r"Scout: nothing leads from version 2 to 3") as refused:
        kind(4, one=step(1), three=step(3))
    assert refused.value.hint == "add @migrates(2) to Scout"
    with pytest.raises(InvalidInput, match=r"Scout: nothing leads from version 2 to 3"):
        kind(3, one=step(1))


def test_the_oldest_steps_may_be_dropped() -> None:
    late = kind(4, three=step(3, lambda state: {"seen": ["late"]}))
    assert migrated(late, {}, 3) == {"seen": ["late"]}
    with pytest.raises(Unservable, match="no migration from version 2"):
        migrated(late, {}, 2)


def test_two_steps_from_one_version_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Scout: first and second both migrate from version 1"):
        kind(2, first=step(1), second=step(1))


def test_a_step_beyond_todays_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Scout: late leads to version 3, `version` is 2") as refused:
        kind(2, first=step(1), late=step(2))
    assert refused.value.hint == "raise `version` to 3"


@pytest.mark.parametrize("version", [0, -3, True, "2", 1.0])
def test_a_version_counts_from_one(version: Any) -> None:
    with pytest.raises(InvalidInput, match=r"Scout: `version` is"):
        kind(version)


def test_the_chain_is_inherited_and_goes_on() -> None:
    base = kind(2, one=step(1, lambda state: {"seen": ["base"]}))
    derived: Any = types.new_class(
        "Derived",
        (base,),
        exec_body=lambda body: body.update(version=3, two=step(2, lambda s: {"seen": [*s["seen"], "own"]})),
    )
    assert migrated(derived, {}, 1) == {"seen": ["base", "own"]}
    assert migrated(base, {}, 1) == {"seen": ["base"]}


def test_a_static_method_is_a_step_in_either_order() -> None:
    inner = staticmethod(step(1, lambda state: {"seen": ["inner"]}))
    assert migrated(kind(2, inner=inner), {}, 1) == {"seen": ["inner"]}


def ruin(state: RawState) -> RawState:
    state["seen"] = []
    raise KeyError("only")


def exits(state: RawState) -> RawState:
    raise SystemExit(3)


def cancels(state: RawState) -> RawState:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (ruin, "KeyError: 'only'"),
        (exits, "SystemExit: 3"),
        (cancels, "CancelledError"),
        (lambda state: None, "it returned NoneType, not the whole new state as a dict"),
        (lambda state: [state], "it returned list"),
        (lambda state: {"at": {1, 2}}, "Type is not JSON serializable: set"),
        (lambda state: {1: "a"}, "Dict key must be str"),
        (lambda state: {"at": (1, 2)}, "it returned what JSON does not keep"),
        (lambda state: {"at": float("nan")}, "it returned what JSON does not keep"),
    ],
)
def test_a_step_that_fails_or_returns_no_state_changes_nothing(work: Callable[[Any], Any], told: str) -> None:
    state: JsonValue = {"seen": ["a"], "deep": {"list": [1]}}
    with pytest.raises(Unservable, match="scout: the migration from version 1 failed: ") as refused:
        migrated(kind(2, one=step(1, work)), state, 1)
    assert told in str(refused.value)
    assert state == {"seen": ["a"], "deep": {"list": [1]}}


def test_a_step_gets_a_copy_however_deep() -> None:
    def into_the_depth(state: Any) -> RawState:
        state["deep"]["list"].append("more")
        return {"seen": state["deep"]["list"]}

    state: JsonValue = {"deep": {"list": ["a"]}}
    assert migrated(kind(2, one=step(1, into_the_depth)), state, 1) == {"seen": ["a", "more"]}
    assert state == {"deep": {"list": ["a"]}}


def test_a_person_may_still_interrupt_a_step() -> None:
    def interrupted(state: RawState) -> RawState:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrated(kind(2, one=step(1, interrupted)), {}, 1)


class Fussy(BaseModel):
    seen: list[str] = []

    @model_validator(mode="after")
    def _look(self) -> "Fussy":
        raise KeyError("not a ValidationError")


def test_a_model_that_raises_what_it_likes_is_told_as_a_misfit() -> None:
    base: Any = Behaviour[Fussy]
    fussy: Any = types.new_class("Picky", (base,))
    with pytest.raises(Unservable, match="picky: the stored state does not fit Fussy: KeyError"):
        state_of(fussy, {"seen": []})


# ------------------------------------------------------------------ names and former names


def test_a_former_name_finds_todays_class() -> None:
    known = Repertoire([kind(name="Ranger", aliases=("scout", "pathfinder"))])
    assert known.find("scout").name == known.find("pathfinder").name == known.find("ranger").name == "ranger"
    assert known.names == ("ranger",)
    assert "scout" in known
    assert "nobody" not in known


def test_one_name_for_two_classes_is_refused_and_both_are_named() -> None:
    one, two_ = kind(), kind(__module__="elsewhere")
    with pytest.raises(InvalidInput, match=r"types\.Scout and elsewhere\.Scout are both called 'scout'"):
        Repertoire([one, two_])
    assert Repertoire([one, one]).names == ("scout",), "found in two modules, it is still one class"


@pytest.mark.parametrize("aliases", [("scout",), ("former",)])
def test_an_ambiguous_former_name_is_refused(aliases: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="are both called"):
        Repertoire([kind(aliases=("former",)), kind(name="Ranger", aliases=aliases)])


def test_a_former_name_is_not_inherited() -> None:
    base = kind(aliases=("former",))
    derived: Any = types.new_class("Derived", (base,))
    assert Repertoire([base, derived]).find("former") is base


@pytest.mark.parametrize(
    ("aliases", "hint"), [("old", 'write aliases = ("old",)'), (["old"], 'write aliases = ("old-name",)'), ((5,), None)]
)
def test_former_names_are_a_tuple_of_names(aliases: Any, hint: str | None) -> None:
    with pytest.raises(InvalidInput, match="`aliases` is no tuple of names") as refused:
        kind(aliases=aliases)
    assert hint in (None, refused.value.hint)


# ------------------------------------------------------------------ installed distributions


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """A distribution with that module is on the path, and names `entry` in the group `maestro.behaviours`."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(module: str, source: str, entry: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[maestro.behaviours]\nany = {entry}\n")

    return installed


@pytest.mark.parametrize("entry", ["planted_owls", "planted_owls:Owl"])
def test_an_installed_distribution_names_its_behaviours_by_module_or_by_class(
    install: Callable[[str, str, str], None], entry: str
) -> None:
    install("planted_owls", "from maestro import Behaviour\nclass Owl(Behaviour): pass\n", entry)
    assert "owl" in Repertoire.load((), installed=True)
    assert "owl" not in Repertoire.load(())


def test_an_installed_distribution_that_cannot_be_loaded_is_named(install: Callable[[str, str, str], None]) -> None:
    install("planted_ruin", "raise RuntimeError('no feathers')", "planted_ruin")
    with pytest.raises(InvalidInput, match="'planted_ruin' of planted_ruin: RuntimeError: no feathers") as refused:
        Repertoire.load((), installed=True)
    assert refused.value.hint == "repair or remove planted_ruin"
