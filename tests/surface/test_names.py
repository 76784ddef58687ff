"""Names that say nothing are not used (STYLE, "Names")."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("maestro", "actors", "serve_apps")
FORBIDDEN_CLASS = re.compile(r"_*(Base([A-Z].*)?|I[A-Z].*|.*(Manager|Helper|Helpers|Util|Utils|Impl))")
FORBIDDEN_MODULE = re.compile(r"_*(utils?|helpers?|common|misc|base|managers?)")
FORBIDDEN_FUNCTION = re.compile(r"process_.*|handle_data")

ALLOWED = {
    "maestro/adapters/feeds/document.py::handle_data": "html.parser calls it by this name",
}


@pytest.mark.parametrize(
    "name", ["BaseStore", "Base", "IStore", "LeaseManager", "StoreImpl", "_TickHelper", "RedisUtil"]
)
def test_a_class_name_without_meaning_is_seen(name: str) -> None:
    assert _bad_names(f"class {name}: ...") == [name]


@pytest.mark.parametrize("name", ["Interest", "IntegrityError", "Identity", "Store", "Baseline", "Impulse"])
def test_a_word_that_only_looks_like_one_is_not(name: str) -> None:
    assert _bad_names(f"class {name}: ...") == []


def test_no_module_class_or_function_has_a_forbidden_name() -> None:
    found = []
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        place = path.relative_to(ROOT)
        parts = [*place.parts[:-1], place.stem]
        found += [str(place) for part in parts if FORBIDDEN_MODULE.fullmatch(part)]
        found += [f"{place}::{name}" for name in _bad_names(path.read_text())]
    assert set(found) == set(ALLOWED)


def _bad_names(source: str) -> list[str]:
    bad = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and FORBIDDEN_CLASS.fullmatch(node.name):
            bad.append(node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and FORBIDDEN_FUNCTION.fullmatch(node.name):
            bad.append(node.name)
    return bad
