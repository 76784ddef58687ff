"""docs/bad-inputs.md says of each bad input of operators what became of it, and names tests that exist."""

import re
from collections import Counter

import pytest

from tests.surface.test_faults_page import ROOT, TEST, functions

PAGE = (ROOT / "docs" / "bad-inputs.md").read_text()
INPUTS = {f"B{number}" for number in range(83, 97)}
ROW = re.compile(r"^\| (B\d+) \| ([^|]+) \| (met|in part|not met) \| (.+) \|$", re.MULTILINE)


def test_each_input_has_one_row() -> None:
    assert sorted(row[1] for row in ROW.finditer(PAGE)) == sorted(INPUTS)


def test_the_page_counts_right() -> None:
    results = Counter(row[3] for row in ROW.finditer(PAGE))
    assert f"**{results['met']} of {len(INPUTS)} are met, {results['in part']} in part.**" in PAGE


def test_each_row_names_tests_that_exist() -> None:
    for row in ROW.finditer(PAGE):
        named = TEST.findall(row[4])
        assert named, row[1]
        assert [name for file, name in named if name not in functions(ROOT / file)] == [], row[1]


@pytest.mark.parametrize("input", sorted(INPUTS))
def test_what_falls_short_says_in_what(input: str) -> None:
    (row,) = [row for row in ROW.finditer(PAGE) if row[1] == input]
    assert row[3] == "met" or ": " in row[4], "says what is missing"
