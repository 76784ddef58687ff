"""Nothing in the library loads code as data: no pickle and its kin, no eval, no exec, no open YAML loader."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "joblib"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
LOADERS = {("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("numpy", "load"), ("np", "load")}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from marshal import loads",
        "import dill.source",
        "eval('1')",
        "exec(text)",
        "yaml.load(text)",
        "importlib.import_module('pickle')",
    ],
)
def test_each_way_of_loading_code_is_seen(source: str) -> None:
    assert _findings(source)


def test_the_library_loads_no_code_as_data() -> None:
    files = sorted((ROOT / "maestro").rglob("*.py"))
    found = {str(path.relative_to(ROOT)): what for path in files if (what := _findings(path.read_text()))}
    assert len(files) > 20, "the search looks in the wrong place"
    assert found == {}


def _findings(source: str) -> list[str]:
    return [found for node in ast.walk(ast.parse(source)) if (found := _finding(node))]


def _finding(node: ast.AST) -> str | None:
    match node:
        case ast.Import(names=names):
            return next((alias.name for alias in names if alias.name.partition(".")[0] in MODULES), None)
        case ast.ImportFrom(module=str(module)):
            return module if module.partition(".")[0] in MODULES else None
        case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) if (owner, name) in LOADERS:
            return f"{owner}.{name}"
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if name in MODULES:
            return name
        case _:
            return None
