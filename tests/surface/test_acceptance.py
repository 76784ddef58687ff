"""Each row of an acceptance list, and each line of an issue's Shows that is a test, is shown by a test that says so.

A test says it with `@pytest.mark.spec("01.7")` or `@pytest.mark.shows("3.5")`; here is what must be said by somebody.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]

SPEC = {"01": 20}
"""Spec -> the rows of its acceptance list, all of which must be shown."""

ROWS = SPEC | {"02": 13, "03": 17, "04": 15, "05": 19}
"""The same, and specs of which some rows are shown by now."""

SHOWS = {"3": (1, 2, 3, 4, 5, 6, 7, 8, 10, 11), "4": (1,)}
"""Issue -> the lines of its Shows that are tests. Line 9 of issue 3 is the acceptance list of spec 01 itself."""


def test_each_row_of_an_acceptance_list_has_a_test_that_shows_it() -> None:
    wanted = {f"{spec}.{row}" for spec, rows in SPEC.items() for row in range(1, rows + 1)}
    assert sorted(wanted - set(_said("spec"))) == []


def test_each_line_of_shows_has_a_test_that_shows_it() -> None:
    wanted = {f"{issue}.{line}" for issue, lines in SHOWS.items() for line in lines}
    assert sorted(wanted - set(_said("shows"))) == []


def test_nobody_shows_a_row_that_does_not_exist() -> None:
    assert [
        row for row in _said("spec") if row not in {f"{s}.{n}" for s, rows in ROWS.items() for n in range(1, rows + 1)}
    ] == []


def _said(marker: str) -> Iterator[str]:
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == marker:
                yield from (str(row.value) for row in node.args if isinstance(row, ast.Constant))
