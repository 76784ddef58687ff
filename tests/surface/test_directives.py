"""The union of directives is closed: each member has its case in the fold, and nothing has a case that is no member."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from maestro.continuation import directive, wait
from maestro.tick import fold

FOLD = Path(fold.__file__)
WAIT = Path(wait.__file__)


def members(union: object) -> set[str]:
    """The classes of an annotated union."""
    return {member.__name__ for member in get_args(get_args(union)[0])}


def cases(source: str, subject: str) -> set[str]:
    """The classes that `match <subject>` has a case for; the match must end in assert_never."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Match) and isinstance(node.subject, ast.Name) and node.subject.id == subject:
            *named, last = node.cases
            assert ast.unparse(last) == f"case _:\n    assert_never({subject})", f"match {subject} is open"
            return {name for case in named for name in _classes(case.pattern)}
    raise AssertionError(f"nothing matches {subject}")


def _classes(pattern: ast.pattern) -> set[str]:
    return {ast.unparse(inner.cls) for inner in ast.walk(pattern) if isinstance(inner, ast.MatchClass)}


@pytest.mark.parametrize(("union", "subject"), [(directive.Act, "act"), (directive.Closing, "closing")])
def test_every_directive_has_its_case_in_the_fold(union: object, subject: str) -> None:
    assert cases(FOLD.read_text(), subject) == members(union)


def test_the_two_halves_are_the_whole_union() -> None:
    assert members(directive.Act) | members(directive.Closing) == {
        name for half in get_args(directive.Directive) for name in members(half)
    }


def test_every_wait_says_what_ends_it_and_why() -> None:
    functions = {node.name: node for node in ast.parse(WAIT.read_text()).body if isinstance(node, ast.FunctionDef)}
    for name in ("wake_keys", "describe", "left"):
        assert cases(ast.unparse(functions[name]), "wait") == members(wait.WaitFor), name


def test_a_missing_case_is_seen() -> None:
    with_gap = FOLD.read_text().replace("case Report():", "case Send():")
    assert members(directive.Act) - cases(with_gap, "act") == {"Report"}
