"""The difference between two JSON objects, so that the log holds what changed and grows no faster.

Invariant: `apply(before, diff(before, after)) == after` for all JSON objects.
A patch is a list of [path, value] (set) or [path] (delete); a path is a list of object keys; arrays are replaced whole.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson
from pydantic import JsonValue

Patch = list[JsonValue]


def diff(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> Patch:
    """The patch that turns `before` into `after`, in order of the keys."""
    return list(_changes(before, after, ()))


def apply(before: Mapping[str, JsonValue], patch: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """`before` with `patch` applied; `before` itself stays as it is."""
    result = dict(before)
    for change in patch:
        path, *value = _listed(change)
        *parents, last = (str(key) for key in _listed(path))
        place = result
        for key in parents:
            inner = place[key]
            copy = dict(inner) if isinstance(inner, dict) else {}
            place[key] = copy
            place = copy
        if value:
            place[last] = value[0]
        else:
            del place[last]
    return result


def _listed(part: JsonValue) -> list[JsonValue]:
    if not isinstance(part, list):
        raise TypeError(f"{part!r} is no part of a patch")
    return part


def _changes(
    before: Mapping[str, JsonValue], after: Mapping[str, JsonValue], path: tuple[str, ...]
) -> Iterator[JsonValue]:
    for key in sorted(before.keys() - after.keys()):
        yield [[*path, key]]
    for key in sorted(after):
        old, new = before.get(key), after[key]
        if key in before and same(old, new):
            continue
        if key in before and isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, (*path, key))
        else:
            yield [[*path, key], new]


def same(old: JsonValue, new: JsonValue) -> bool:
    """Equal as JSON: 1, 1.0 and true are three things."""
    if old != new:  # the rule, and far cheaper to see than the exceptions below
        return False
    if isinstance(old, dict | list | float):  # floats too: 0.0 and -0.0 are two texts
        return orjson.dumps(old, option=orjson.OPT_SORT_KEYS) == orjson.dumps(new, option=orjson.OPT_SORT_KEYS)
    return type(old) is type(new) and old == new
