"""The ports of tools: who carries a call out, and what is remembered of calls beyond one tick.

Invariants: a runner returns what the tool returned, as JSON, or raises a ToolError; when a call of it has ended,
nothing of that call runs any more. Records never cross tenants.
"""

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from pydantic import JsonValue

from maestro.errors import ToolDeclined, ToolError, ToolFailed, ToolTimeout
from maestro.tools.spec import KEY_PARAMETER, Tool

MAX_CACHED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """One call to be carried out."""

    tool: Tool
    arguments: Mapping[str, JsonValue]
    idempotency_key: str
    """The same for every try of the same effect."""

    @property
    def given(self) -> dict[str, JsonValue]:
        """The arguments, with the key where the tool takes one."""
        return {**self.arguments, **({KEY_PARAMETER: self.idempotency_key} if self.tool.takes_key else {})}


class ToolRunner(Protocol):
    async def run(self, order: Order) -> JsonValue:
        """What the tool returned.

        Raises:
            ToolDeclined: nothing was done. ToolTimeout, ToolFailed, ToolValidationError: it ended without a result.
        """
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What the cache says to who asks: here it is, fetch it yourself, or somebody is about to."""

    state: Literal["hit", "mine", "busy"]
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """How often a cacheable call found its result, since the store was made."""

    hits: int
    """It was there."""
    shared: int
    """Somebody else was fetching it, and it was waited for."""
    misses: int

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Self:
        """From the counts of a store."""
        return cls(*(counts.get(f"tool_cache_{name}", 0) for name in ("hits", "shared", "misses")))

    @property
    def rate(self) -> float | None:
        """Which part of the calls was carried out by nobody; None before the first."""
        asked = self.hits + self.shared + self.misses
        return (self.hits + self.shared) / asked if asked else None

    def told(self) -> dict[str, JsonValue]:
        rate = None if self.rate is None else round(self.rate, 4)
        return {"hits": self.hits, "shared": self.shared, "misses": self.misses, "rate": rate}


class ToolRecords(Protocol):
    """What a store remembers of the calls of one tenant."""

    async def look(self, key: str, holder: str, lease_ms: int, waited: bool = False) -> Look:
        """The value under `key`; without one, the claim to fetch it, held for `lease_ms`, unless somebody holds it.

        Counted as `tool_cache_hits`, `tool_cache_misses` and, for who had waited, `tool_cache_shared`.
        """
        ...

    async def keep(self, key: str, holder: str, value: bytes, ttl_ms: int) -> None:
        """The value is there for `ttl_ms`, if `holder` still holds the claim."""
        ...

    async def let_go(self, key: str, holder: str) -> None:
        """The claim is over without a value: the next who looks fetches it."""
        ...

    async def take(self, tool: str, call_id: str, limit: int) -> bool:
        """One use of `limit` a day is taken, once per call id; False when none is left."""
        ...


class InlineTools:
    """ToolRunner in the process of the tick: for tools that are declared so, and for tests of behaviours."""

    async def run(self, order: Order) -> JsonValue:
        tool, limit_s = order.tool, order.tool.spec.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                if inspect.iscoroutinefunction(tool.function):
                    returned = await tool.function(**order.given)
                else:
                    returned = tool.function(**order.given)
        except TimeoutError:
            raise ToolTimeout(f"{tool.name} took longer than {limit_s:g} s", hint="raise its timeout_s") from None
        except ToolDeclined:
            raise
        except Exception as error:  # a tool may raise anything
            raise failed(tool.name, f"{type(error).__name__}: {error}") from error
        return tool.answer(returned)


def failed(tool: str, told: str) -> ToolFailed:
    """The failure of a call, in a line."""
    return ToolFailed(f"{tool}: {' '.join(told.split())[:500]}", hint="look at the arguments, or use another tool")


def error_body(error: ToolError) -> dict[str, JsonValue]:
    """An error as the journal keeps it and a model is told it."""
    body: dict[str, JsonValue] = {"code": error.code, "message": error.message, "field": error.field}
    return {**body, "hint": error.hint}


def error_of(body: Mapping[str, JsonValue]) -> ToolError:
    """The error that `error_body` was made of."""
    known = ToolError.__subclasses__()
    kinds = {kind.code: kind for kind in (*known, *(more for kind in known for more in kind.__subclasses__()))}
    kind = kinds.get(str(body.get("code")), ToolError)
    field, hint = body.get("field"), body.get("hint")
    return kind(
        str(body.get("message")),
        field=None if field is None else str(field),
        hint=None if hint is None else str(hint),
    )
