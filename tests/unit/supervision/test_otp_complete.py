"""The list of OTP's cases is complete: each is a test of its name, or stands in a table with the reason."""

import ast
from pathlib import Path

import pytest

from tests.unit.supervision.otp_cases import NOT_HERE, ON_RAY, every_case

HERE = Path(__file__).parent
ON_REAL_RAY = HERE.parents[1] / "e2e" / "test_supervision_on_ray.py"


@pytest.mark.shows("4.1")
def test_each_case_of_otp_is_shown_here_or_on_ray_or_has_its_reason() -> None:
    cases = every_case()
    assert len(cases) == len(set(cases)) == 93
    shown = {name.removeprefix("test_") for path in HERE.glob("test_otp_*.py") for name in _tests_of(path)}

    assert [case for case in cases if case not in shown and case not in NOT_HERE and case not in ON_RAY] == []
    assert not shown & (NOT_HERE.keys() | ON_RAY.keys())
    assert not (NOT_HERE.keys() | ON_RAY.keys()) - set(cases)
    assert set(ON_RAY.values()) <= _tests_of(ON_REAL_RAY)
    assert len(NOT_HERE) == 8


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {node.name for node in functions if node.name.startswith("test_")}
