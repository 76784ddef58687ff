"""The metrics: name, type, labels and meaning, as actors/gauges.py makes them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.reference.tables import code, opening, table

SOURCE = Path(__file__).parents[2] / "actors" / "gauges.py"
OPENING = """On the metrics endpoint of each Ray node, where Ray puts `ray_` before each name and adds its own labels.
[What they mean for an operator](../metrics.md) is a page of its own, with the alerts and the dashboard."""


def page() -> str:
    return f"{opening('Metrics', OPENING)}\n{table(('name', 'type', 'labels', 'meaning'), sorted(_rows()))}"


def _rows() -> Iterator[tuple[str, str, str, str]]:
    tree = ast.parse(SOURCE.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    store = constants["STORE"]
    assert isinstance(store, ast.Dict)
    for value in store.values:
        name, meaning = ast.literal_eval(value)
        yield code(name), "gauge", "", meaning
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _makes_one(node):
            yield _made(node, constants)


def _makes_one(call: ast.Call) -> bool:
    """Makes a metric whose name stands there."""
    named = isinstance(call.func, ast.Name) and call.func.id in ("Gauge", "Histogram")
    return named and isinstance(call.args[0], ast.Constant)


def _made(call: ast.Call, constants: dict[str, ast.expr]) -> tuple[str, str, str, str]:
    assert isinstance(call.func, ast.Name)
    rest = list(call.args[2:])
    kind = call.func.id.lower()
    if kind == "histogram":
        bounds = rest.pop(0)
        told = ast.literal_eval(constants[bounds.id] if isinstance(bounds, ast.Name) else bounds)
        kind = f"histogram, up to {', '.join(map(str, told))}"
    labels = ast.literal_eval(rest[0]) if rest else ()
    return code(ast.literal_eval(call.args[0])), kind, ", ".join(labels), ast.literal_eval(call.args[1])
