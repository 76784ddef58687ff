"""Builds that lack one guard each: the scripts with a line changed. Imported, it takes what MAESTRO_UNGUARDED names.

A body of a run imports it before it opens its store (`preload`); `lacking` does the same to this process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from maestro.adapters.redis.wire import Wire

NAME = "MAESTRO_UNGUARDED"
WITHOUT: dict[str, tuple[str, str]] = {
    "fencing": ("if x[1] == epoch and x[2] ~= '' then return nil end", "if true then return nil end"),
    "dedupe": ("if id ~= '' and (call('ZSCORE', P .. 'seen', seen) or heard(cid, s, at)) then", "if false then"),
    "reservation": ("add(cid, 'r', price, 1)", ""),
}
"""What is switched off -> the text of the scripts that did it, and what stands there instead."""
_open = Wire.__init__


def _opened(self: Wire, *arguments: Any, **named: Any) -> None:
    _open(self, *arguments, **named)
    good, bad = WITHOUT[os.environ[NAME]]
    assert any(good in body for body in self._bodies.values()), f"no script does it this way: {good}"
    self._bodies = {name: body.replace(good, bad) for name, body in self._bodies.items()}


@contextmanager
def lacking(guard: str) -> Iterator[None]:
    """This process and those that it starts have no such guard."""
    os.environ[NAME] = guard
    Wire.__init__ = _opened  # type: ignore[method-assign]
    try:
        yield
    finally:
        Wire.__init__ = _open  # type: ignore[method-assign]
        del os.environ[NAME]


if NAME in os.environ:
    Wire.__init__ = _opened  # type: ignore[method-assign]
