"""Actors that people bring along: where their specs are found, and where in the tree they stand."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import blueprint
from actors.supervised import own_specs
from maestro.errors import InvalidInput
from maestro.settings import Settings

MODULE = """
from maestro.supervision import ChildSpec
ONE = ChildSpec(id="thermometer/kitchen", start="my_house:Thermometer")
MORE = [ChildSpec(id="thermometer/cellar", start="my_house:Thermometer", restart="transient")]
NONSENSE = 21
"""


@pytest.fixture
def my_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "my_house.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_house", None)


def test_own_actors_stand_below_a_supervisor_whose_end_ends_nobody_else(my_house: None, tmp_path: Path) -> None:
    tree = blueprint.tree(Settings.load(home=tmp_path, supervised="my_house:ONE, my_house:MORE"))
    own = tree.children[-1]

    assert (own.id, own.restart) == ("own", "transient")
    assert [child.id for child in own.children] == ["thermometer/kitchen", "thermometer/cellar"]


def test_without_any_there_is_no_process_for_them(tmp_path: Path) -> None:
    assert "own" not in {spec.id for spec in blueprint.tree(Settings.load(home=tmp_path)).walk()}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere:ONE", "nowhere:ONE: No module named 'nowhere'"),
        ("my_house:TWO", "my_house:TWO: module 'my_house' has no attribute 'TWO'"),
        ("my_house:NONSENSE", "my_house:NONSENSE is no ChildSpec and no list of them"),
    ],
)
def test_what_cannot_be_found_is_named(my_house: None, path: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        own_specs([path])
    assert refused.value.message == message


@pytest.mark.parametrize("path", ["my_house", "my_house:", "my-house:ONE", ":ONE"])
def test_a_path_that_cannot_be_one_is_refused_with_the_settings(path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="names no specs: write my_package"):
        Settings.load(home=tmp_path, supervised=path)
