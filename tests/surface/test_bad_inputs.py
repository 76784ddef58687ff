"""PROMISES B1 to B36, the bad inputs of the API, are each shown by a test that has its number in its name."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OF_THE_API = range(1, 37)


@pytest.mark.shows("8.5")
def test_each_bad_input_of_the_api_has_a_test_of_its_name() -> None:
    names = [
        node.name
        for path in TESTS.glob("integration/test_api*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    shown = {int(number) for name in names for number in re.findall(r"(?<=_b)\d+(?=_)", name)}
    assert sorted(set(OF_THE_API) - shown) == []
