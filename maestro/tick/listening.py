"""Listening to the stream surface of a tool: the verbs that a behaviour has for it.

Who listens has a child of the behaviour `stream` (maestro.behaviours.stream) that takes the stream in, window by
window, and writes what is new as letters. So a stream is as durable as any continuation: its cursor is the child's
state, its windows are journaled uses of the tool, its letters are applied once, and it ends with who opened it.
"""

from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId
from maestro.tools.spec import Tool

STREAM = "stream"
"""The behaviour that listens, and the first word of the subjects of its letters."""
STOP = "stop"
EVERY_S = 60.0
MOST_S = 31 * 86_400.0
NOTHING = BudgetVector({})


class Listened(BaseModel):
    """What a child listens to: its input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    arguments: dict[str, JsonValue] = {}
    every_ms: Annotated[int, Field(ge=1_000)]
    cursor: str | None = None


class Letter(BaseModel):
    """What it writes: the body of a message with the subject `stream.TOOL`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    kind: Literal["news", "fault", "recovered"] = "news"
    entries: tuple[JsonValue, ...] = ()
    """{value, cursor} of what is new; {gap, cursor} where something may be missing. In the order of the stream."""
    cursor: str | None = None
    because: str = ""
    """Of a fault: what failed; it is told once, and tried again later and later."""


class _Acting(Protocol):
    def spawn(
        self, behaviour: str | type, *, goal: str, budget: BudgetVector, input: JsonValue = None
    ) -> ContinuationId: ...

    def send(self, to: str, body: JsonValue, subject: str = "") -> None: ...


class Listening:
    """What a tick can do with streams; mixed into Tick."""

    def listen(
        self: _Acting,
        stream: str | Tool,
        /,
        *,
        every_s: float = EVERY_S,
        budget: BudgetVector = NOTHING,
        cursor: str | None = None,
        **arguments: Any,
    ) -> ContinuationId:
        """From the commit on, what is new in a tool's stream arrives at `on_message`, in letters `stream.TOOL`.

        A letter holds what came in one window (see `Letter`). It goes on through crashes from where it was, until this
        continuation ends or `stop_listening`; returns who listens, which is a child and counts as one.

        Args:
            every_s: between two windows; at least a second.
            budget: for the child, where uses of the tool have a price or are limited.
            cursor: where to go on; without one, where the stream begins.

        Raises:
            InvalidInput: a period that is none, or arguments that are not JSON.
            BudgetExceededError: `budget` is more than is free.
        """
        if not 1 <= every_s <= MOST_S:
            raise InvalidInput(f"a window every {every_s} s", field="every_s", hint=f"give 1 to {MOST_S:g}")
        name = stream if isinstance(stream, str) else stream.name
        asked = Listened(tool=name, arguments=arguments, every_ms=int(1_000 * every_s), cursor=cursor)
        told: JsonValue = asked.model_dump(mode="json")
        return self.spawn(STREAM, goal=f"listen to {name}", budget=budget, input=told)

    def stop_listening(self: _Acting, listener: ContinuationId) -> None:
        """The stream that `listen` opened ends; a letter that is on its way still arrives."""
        self.send(listener, {STREAM: STOP}, STREAM)
