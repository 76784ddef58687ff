"""Each row of an acceptance list, and each line of an issue's Shows that is a test, is shown by a test that says so.

A test says it with `@pytest.mark.spec("01.7")` or `@pytest.mark.shows("3.5")`; here is what must be said by somebody.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]

SPEC = {"01": 20, "02": 13, "03": 17, "04": 15, "05": 19, "06": 19}
"""Spec -> the rows of its acceptance list, all of which must be shown but for those that are OPEN."""

ROWS = SPEC | {"11": 16}
"""The same, and specs of which some rows are shown by now."""

SHOWS = {
    "3": (1, 2, 3, 4, 5, 6, 7, 8, 10, 11), "4": (1, 2, 4, 5, 6, 7, 8), "5": (1, 2, 3, 4, 5, 6, 7, 8),
    "6": (2, 3, 4, 5, 6, 7, 8), "7": (2, 4, 5, 6, 7, 8), "8": (2, 4, 5, 6, 7), "9": (3, 4, 5, 6),
}  # fmt: skip
"""Issue -> the lines of its Shows that are tests. Line 9 of issue 3 and line 1 of issue 6 are the acceptance lists of
specs 01 and 05 themselves; line 3 of issue 4, line 9 of issue 6 and line 3 of issue 7 are figures, printed
by `benchmarks/`; line 1 of issue 7 is spec 03, line 1 of issue 8
spec 06; line 3 of issue 8 is figures of `make bench-pane`."""

OPEN: dict[str, str] = {
    "06.17": "a notification that failed is told on the wait; there is no long-term memory (spec 08), so no page of it",
}
"""Rows and lines that nobody shows yet, each with the reason; one that is shown is taken out."""


def test_each_row_of_an_acceptance_list_has_a_test_that_shows_it() -> None:
    wanted = {f"{spec}.{row}" for spec, rows in SPEC.items() for row in range(1, rows + 1)}
    assert sorted(wanted - set(_said("spec")) - set(OPEN)) == []


def test_each_line_of_shows_has_a_test_that_shows_it() -> None:
    wanted = {f"{issue}.{line}" for issue, lines in SHOWS.items() for line in lines}
    assert sorted(wanted - set(_said("shows")) - set(OPEN)) == []


def test_what_is_open_is_shown_by_nobody() -> None:
    assert sorted(set(OPEN) & {*_said("spec"), *_said("shows")}) == []


def test_nobody_shows_a_row_that_does_not_exist() -> None:
    assert [
        row for row in _said("spec") if row not in {f"{s}.{n}" for s, rows in ROWS.items() for n in range(1, rows + 1)}
    ] == []


def _said(marker: str) -> Iterator[str]:
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == marker:
                yield from (str(row.value) for row in node.args if isinstance(row, ast.Constant))
