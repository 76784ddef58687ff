"""Gifts: what an installation gives to one tool beside its arguments; no model, no journal and no other tool sees it.

    gift("url")          inside of the tool

Invariants: a gift is of one call, and gone after it; a worker that was given one serves nothing after that call; a tool
whose gift is missing says so and has done nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from maestro.errors import ToolDeclined

Gifts = Mapping[str, str]

_given: ContextVar[Gifts | None] = ContextVar("maestro_gifts", default=None)


@contextmanager
def giving(gifts: Gifts) -> Iterator[None]:
    """The tool that is called meanwhile finds `gifts`."""
    token = _given.set(gifts)
    try:
        yield
    finally:
        _given.reset(token)


def gift(name: str, hint: str) -> str:
    """What was given under `name`.

    Args:
        hint: what an operator does to give it.

    Raises:
        ToolDeclined: nothing was.
    """
    given = (_given.get() or {}).get(name)
    if given is None:
        raise ToolDeclined(f"this installation has no {name} for this tool", field=name, hint=hint)
    return given
