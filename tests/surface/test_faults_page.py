"""docs/faults.md says of each fault what became of it, and names tests that exist."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from maestro.chaos.catalogue import PROFILES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()
FAULTS = {f"F{number}" for number in (*range(1, 62), *range(81, 85))}
ROW = re.compile(r"^\| (F\d+)(\*?) \| ([^|]+) \| (met|in part|not met) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, tuple[str, str]]:
    """Fault -> the result, and what is said of it."""
    found = [(row[1], row[4], row[5]) for row in ROW.finditer(PAGE)]
    assert len(found) == len({fault for fault, _, _ in found}), "a fault stands there twice"
    return {fault: (result, said) for fault, result, said in found}


def test_each_fault_has_a_row() -> None:
    assert set(rows()) == FAULTS


def test_the_page_counts_right() -> None:
    results = Counter(result for result, _ in rows().values())
    assert f"**{results['met']} of {len(FAULTS)} are met, {results['in part']} in part.**" in PAGE


@pytest.mark.shows("4.2")
def test_at_least_55_are_met() -> None:
    assert sum(result == "met" for result, _ in rows().values()) >= 55


def test_what_is_met_names_tests_and_what_is_not_says_why() -> None:
    for fault, (result, said) in rows().items():
        assert len(said) > 20 if result == "not met" else TEST.search(said), fault


def test_the_tests_that_it_names_exist() -> None:
    missing = [f"{file}::{name}" for file, name in TEST.findall(PAGE) if name not in functions(ROOT / file)]
    assert missing == []


def test_what_has_a_star_can_be_inflicted_by_the_command() -> None:
    inflicted = {wound.id for wounds in PROFILES.values() for wound in wounds}
    assert {row[1] for row in ROW.finditer(PAGE) if row[2]} == inflicted


def functions(file: Path) -> set[str]:
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
