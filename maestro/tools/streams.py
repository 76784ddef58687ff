"""The stream surface of a tool: a function that yields what is new, and how a worker takes it in by the window.

    @stream(at_most=50, window_s=5)
    async def trades(symbol: str, cursor: str | None = None) -> AsyncIterator[Item | Gap]: ...

Given a cursor, the function goes on after it; where it cannot, it yields a Gap first and says why. A window is one call
of a worker: it ends when its time is over, when it is full, or when the function has no more for now.
Invariants: what a window has not brought back is brought by the next, since the cursor is that of the last entry
brought; nothing is left out without a Gap in its place; a stream only takes in: it is pure or idempotent, carries
nothing out, and asks nobody.
What is not here: who looks again, and when (maestro.behaviours.stream), and who may (maestro.tools.guard).

Source: spec/04 sections 1, 4 (C-10, C-13).
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, JsonValue

from maestro.errors import InvalidInput
from maestro.tools.spec import MAX_TIMEOUT_S, SideEffect, Tool, tool

CURSOR = "cursor"
AT_MOST = 100
WINDOW_S = 2.0
SLACK_S = 30.0  # beyond its window: to begin a worker, to connect, to tell
MAX_ITEM_BYTES = 16 * 1024
MAX_BATCH_BYTES = 128 * 1024  # half of what a letter may hold
MAX_BROKE_CHARS = 1_000
MAX_CURSOR_CHARS = 1_024


class Item(BaseModel):
    """Something new, and where to go on after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: JsonValue
    cursor: str


class Gap(BaseModel):
    """Here something may be missing, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap: str
    cursor: str | None = None
    """Where to go on after it; None where the next item will tell."""


Entries = AsyncIterator[Item | Gap]


class Batch(BaseModel):
    """What one window brought, in its order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: tuple[Item | Gap, ...] = ()
    cursor: str | None = None
    """After the last of them; what was given, where there is none."""
    broke: str = ""
    """How the stream broke off after them; nothing where its window was over, or the stream itself."""


def stream(*, at_most: int = AT_MOST, window_s: float = WINDOW_S, name: str | None = None, **declared: Any) -> Any:
    """The asynchronous generator is a tool with a stream surface; `declared` are fields of Spec.

    Args:
        at_most: entries of one window.
        window_s: how long a window listens.

    Raises:
        InvalidInput: it takes no cursor, or is declared as what no stream is; names the field.
    """
    return lambda function: _declared(function, at_most, window_s, name, declared)


async def taken_in(entries: Entries, cursor: str | None, at_most: int, window_s: float) -> Batch:
    """What came within the window, and how it broke off, if it did after something had come.

    Raises:
        Exception: whatever the stream raised before anything had come.
    """
    found: list[Item | Gap] = []
    size, broke = 0, ""
    window = asyncio.timeout(window_s)
    try:
        async with window, aclosing(entries) as opened:  # type: ignore[type-var]
            async for each in opened:
                entry = _fitting(each)
                size += len(orjson.dumps(entry.model_dump(mode="json")))
                if size > MAX_BATCH_BYTES:
                    break
                found.append(entry)
                cursor = entry.cursor or cursor
                if len(found) >= at_most:
                    break
    except Exception as error:
        is_over = isinstance(error, TimeoutError) and window.expired()
        if not is_over and not found:
            raise
        broke = "" if is_over else f"{type(error).__name__}: {error}"[:MAX_BROKE_CHARS]
    return Batch(entries=tuple(found), cursor=cursor, broke=broke)


def _declared(
    function: Callable[..., Entries], at_most: int, window_s: float, name: str | None, declared: dict[str, Any]
) -> Tool:
    called = name or function.__name__
    signature = inspect.signature(function, eval_str=True)
    if CURSOR not in signature.parameters:
        raise InvalidInput(f"stream {called!r} takes no `{CURSOR}`", field=CURSOR, hint=f"add {CURSOR}: str | None")
    if not inspect.isasyncgenfunction(inspect.unwrap(function)):
        raise InvalidInput(f"stream {called!r} yields nothing", field="stream", hint="make it an async generator")
    if not 0 < window_s <= MAX_TIMEOUT_S - SLACK_S or at_most < 1:
        raise InvalidInput(f"stream {called!r}: {at_most} in {window_s} s", field="window_s", hint="give more than 0")
    declared = {"side_effect": SideEffect.PURE, "timeout_s": window_s + SLACK_S, **declared, "surface": "stream"}
    if SideEffect(declared["side_effect"]) not in (SideEffect.PURE, SideEffect.IDEMPOTENT):
        raise InvalidInput(
            f"stream {called!r} has side effects", field="side_effect", hint="declare a command for them"
        )
    for field, wanted in (("outgoing", False), ("risk", "low"), ("cacheable", False)):
        if declared.get(field, wanted) != wanted:
            raise InvalidInput(f"stream {called!r}: no stream is {field}", field=field, hint="declare a command for it")

    @functools.wraps(function)
    async def window(**given: Any) -> Batch:
        return await taken_in(function(**given), given.get(CURSOR), at_most, window_s)

    taken = [
        each.replace(annotation=str | None, default=None, kind=each.KEYWORD_ONLY) if each.name == CURSOR else each
        for each in signature.parameters.values()
    ]
    in_order = sorted(taken, key=lambda each: each.kind)
    window.__signature__ = signature.replace(parameters=in_order, return_annotation=Batch)  # type: ignore[attr-defined]
    made: Tool = tool(name=called, **declared)(window)
    return made


def _fitting(entry: Item | Gap) -> Item | Gap:
    """The entry, or word that it is too large to be one."""
    if isinstance(entry, Item) and len(entry.cursor) > MAX_CURSOR_CHARS:
        raise ValueError(f"a cursor of {len(entry.cursor)} characters, at most {MAX_CURSOR_CHARS} are kept")
    if isinstance(entry, Gap):
        return Gap(gap=entry.gap[:MAX_CURSOR_CHARS], cursor=entry.cursor)
    size = len(orjson.dumps(entry.value))
    if size <= MAX_ITEM_BYTES:
        return entry
    return Gap(gap=f"an item of {size} bytes, at most {MAX_ITEM_BYTES} are taken", cursor=entry.cursor)
