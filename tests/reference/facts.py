"""The feed's facts: each type with its fields, found where the code writes it, in Python and in the Lua scripts.

What a fact means stands here, because no code says it; a type that the code writes and nobody describes fails the page.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.reference.tables import code, opening, table

LIBRARY = Path(__file__).parents[2] / "maestro"
PLACES = ("tick", "runtime", "budget", "adapters/memory")
NOT_OF_THE_FEED = frozenset({"disagreement", "edit_field", "piece", "reset", "answer", "budget"})
"""Types that other values of these folders have."""
IN_LUA = re.compile(r"type ?= ?'([a-z_]+)'")
OPENING = """The feed is the public record of what happened: one list for each partition, from which the pane,
`maestro watch`, watchers and the warehouse read, and nothing else. A fact is written in the same step as what it tells
of. `maestro watch -o jsonl` prints them; the [streams of the HTTP API](http-api.md#streams) tell most of them on.
Fields that a fact has only sometimes are not listed."""
MEANS: Mapping[str, str] = {
    "account_granted": "An account above continuations was granted more, or less.",
    "arrived": "A family that was exported elsewhere lives here now.",
    "born": "A continuation exists.",
    "budget_alert": "What is spent of a resource has crossed its soft cap.",
    "budget_charge": "Something was spent: for a model call, a tool call, a person's attention, or by a commit itself.",
    "budget_pressure": "How short a continuation is of a resource has changed.",
    "committed": "A tick ended in the store.",
    "forked": "A continuation is a copy of another, with a part of its budget.",
    "frozen": "Nothing wakes it; without `cid`, nobody is woken: the brake is on.",
    "held": "There is no code for it that fits: nothing wakes it until an order comes.",
    "moved": "It lives elsewhere now, and never here again.",
    "node_draining": "Nothing more is put on a node; what runs there goes on elsewhere.",
    "node_undrained": "A node takes work again.",
    "ordered": "A person, a program or a parent gave an order: kill, cancel, wake, thaw, merge, grant and the like.",
    "rebudgeted": "A budget was changed.",
    "redelivered": "A dead letter was delivered after all.",
    "refunded": "A charge in full was corrected to what the provider told.",
    "slice_lent": "An account has lent a root its budget.",
    "slice_repaid": "What a root did not spend has gone back to its account.",
    "soft_capped": "The border at which a budget is told to be nearly spent was set.",
    "store_went_back": "The store was older than what is remembered of it; it goes on under a new incarnation.",
    "thawed": "It may be woken again; without `cid`, everybody.",
    "transferred": "Money went from one continuation of a family to another.",
}


def page() -> str:
    found = written()
    assert found.keys() == MEANS.keys(), f"describe in {Path(__file__).name}: {sorted(found.keys() ^ MEANS.keys())}"
    rows = [(code(kind), ", ".join(code(field) for field in fields), MEANS[kind]) for kind, fields in found.items()]
    return f"{opening('Events: the facts of the feed', OPENING)}\n{table(('type', 'fields', 'told when'), rows)}"


def written() -> Mapping[str, list[str]]:
    """Type -> the fields that it always has, as far as they stand where it is written."""
    found: dict[str, list[str]] = {}
    for kind, fields in sorted(_in_python()):
        found[kind] = sorted({*found.get(kind, ()), *fields})
    for script in sorted((LIBRARY / "adapters" / "redis" / "scripts").glob("*.lua")):
        for kind in IN_LUA.findall(script.read_text()):
            found.setdefault(kind, [])
    return {kind: found[kind] for kind in sorted(found) if kind not in NOT_OF_THE_FEED}


def _in_python() -> Iterator[tuple[str, list[str]]]:
    for place in PLACES:
        for file in (LIBRARY / place).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Dict):
                    yield from _told(node)


def _told(node: ast.Dict) -> Iterator[tuple[str, list[str]]]:
    names = [key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "type":
            kinds = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
            for kind in kinds:
                if isinstance(kind, ast.Constant):
                    yield str(kind.value), [name for name in names if name != "type"]
