"""An exchange: a model that is given tools, asks for some, is told what they said, and goes on until it answers.

    ask with the tools that are shown -> no call: that is the answer
                                      -> calls: each a journaled use of a tool -> ask again with what they said

Each ask is an effect of thinking and each call one of using tools: reserved, journaled, settled, and after a crash
answered from the journal. So no turn is bought twice and no call is made twice, and a call that a person is asked about
interrupts the tick in the midst of the exchange, which goes on there when the word has come.
Invariants: what the model says is a wish: a tool that it was not given is refused, whatever it is called; its calls are
counted and named by us; what a tool returned is data, and taints what follows; nothing depends on anything but the
thought, the tools and earlier answers.

Source: spec/04 sections 6, 8; PROMISES B49, B51, B52, B68; DESIGN section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput, ToolError, ToolNotFound, TurnsExhausted
from maestro.pager.dispatch import Message, ToolCall
from maestro.pager.dispatch import Tool as ShownTool
from maestro.tick.thought import Thought, Thoughtful
from maestro.tick.using import Hands, Use, together
from maestro.tools.attention import ATTENTION, NEED_TOOL, Promoted, ToolAttention, needed, promoted, schemas
from maestro.tools.calls import error_body
from maestro.tools.spec import Spec, Tool

MAX_TURNS = 8
MAX_CALLS = 8  # of one turn that are made; PROMISES B51
MAX_PARALLEL = 5
MAX_TOLD_BYTES = 12 * 1024  # of one result that a model reads; what is larger is an artifact long before
MAX_WORDS = 64  # of a wish for a tool that are looked at


@dataclass(frozen=True, slots=True)
class Toolset:
    """The tools that a model is given, and how far it may go with them.

    Args:
        max_turns: how often it is asked, the last time for its answer.
        at_most: calls of one turn under way at once.
        max_calls: of one turn; the rest is refused.
        attention: how many of them it is shown at a time.
    """

    tools: Sequence[str | Tool]
    max_turns: int = MAX_TURNS
    at_most: int = MAX_PARALLEL
    max_calls: int = MAX_CALLS
    attention: ToolAttention = ATTENTION

    def __post_init__(self) -> None:
        for name, least in (("max_turns", 1), ("at_most", 1), ("max_calls", 1)):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name} is {getattr(self, name)}", field=name, hint=f"give at least {least}")


class Equipped(Thoughtful, Hands, Protocol):
    """Thinks, and uses tools."""


@dataclass(slots=True)
class Exchange:
    """One of them, while it goes on."""

    mind: Equipped
    given: Toolset
    goal: str
    shown: Promoted
    """The tools that are shown; from tick to tick the same ones, as far as they fit."""
    _known: dict[str, Tool] = field(default_factory=dict)
    """Those that were given, by the name that the model reads."""
    _used: dict[str, None] = field(default_factory=dict)
    _said: list[Message] = field(default_factory=list)

    async def answer(self, thought: Thought) -> str:
        """The model's answer.

        Raises:
            TurnsExhausted: it asks for tools again and again. ModelError, BudgetExceededError: as of any thought.
        """
        self._known = _named(self.mind.tools(self.given.tools))
        self.shown = self._shown(thought.question, self.shown)
        for turn in range(self.given.max_turns):
            asked = replace(thought, tools=self._schemas(), exchange=tuple(self._said))
            said = await self.mind.turn(asked)
            if not said.calls:
                return said.content
            if turn + 1 == self.given.max_turns:
                break  # what it would be told nobody would hear
            thought = replace(thought, prompt=said.asked)
            await self._carried_out(turn, said.content, said.calls, thought)
        raise TurnsExhausted(
            f"it asked for tools {self.given.max_turns} times and gave no answer",
            hint="give it more `max_turns`, or a smaller task",
        )

    async def _carried_out(self, turn: int, content: str, calls: Sequence[ToolCall], thought: Thought) -> None:
        """The calls of one turn, and what became of each, are part of what was said."""
        made = [
            ToolCall(id=f"call_{turn}_{number}", name=_readable(call.name), arguments=call.arguments)
            for number, call in enumerate(calls[: self.given.max_calls])
        ]
        self._said.append(Message(role="assistant", content=content, tool_calls=tuple(made)))
        wishes = {call.id: self._wish(call) for call in made if call.name in self._known}
        outcomes = await together(self.mind, list(wishes.values()), self.given.at_most)
        told: Mapping[str, JsonValue | ToolError] = dict(zip(wishes, outcomes, strict=True))
        for call in made:
            self._said.append(Message(role="tool", tool_call_id=call.id, content=self._told(call, told, thought)))
        if len(calls) > len(made):
            refused = f"{len(calls) - len(made)} more calls were not made: at most {self.given.max_calls} in one turn."
            last = self._said[-1]
            self._said[-1] = last.model_copy(update={"content": f"{last.content}\n{refused}"})

    def _wish(self, call: ToolCall) -> Use:
        self._used[self._known[call.name].name] = None
        return Use(self._known[call.name], call.arguments, brief=True)

    def _told(self, call: ToolCall, outcomes: Mapping[str, JsonValue | ToolError], thought: Thought) -> str:
        """What the model reads of one call."""
        if call.id in outcomes:
            outcome = outcomes[call.id]
            return _words({"error": error_body(outcome)}) if isinstance(outcome, ToolError) else _words(outcome)
        if call.name == NEED_TOOL and self.given.attention.need_tool_fallback:
            wish = " ".join(str(call.arguments.get("description", "")).split()[:MAX_WORDS])
            self.shown = self._shown(f"{wish} {thought.question}", needed(self.shown))
            return _words({"shown from now on": [*sorted(_wire(name) for name in self.shown.names)]})
        known = ", ".join(sorted(_wire(name) for name in self.shown.names))
        return _words(
            {"error": error_body(ToolNotFound(f"no tool {call.name!r} is given to you", hint=f"use {known}"))}
        )

    def _shown(self, question: str, before: Promoted) -> Promoted:
        return promoted(self._specs(), question, self.goal, before, self._used, self.given.attention)

    def _specs(self) -> list[Spec]:
        return self.mind.shown(list(self._known.values()))

    def _schemas(self) -> tuple[ShownTool, ...]:
        found = schemas(self._specs(), self.shown, self.given.attention)
        return tuple(ShownTool.model_validate({**schema, "name": _wire(str(schema["name"]))}) for schema in found)


def _named(tools: Sequence[Tool]) -> dict[str, Tool]:
    """By the names that a model reads, which providers restrict to letters, digits, `_` and `-`.

    Raises:
        InvalidInput: two of them read the same, or one is a stream.
    """
    found: dict[str, Tool] = {}
    for tool in tools:
        if tool.spec.surface == "stream":
            raise InvalidInput(f"{tool.name} is a stream", field="tools", hint="listen to it, and give commands")
        other = found.setdefault(_wire(tool.name), tool)
        if other is not tool or _wire(tool.name) == NEED_TOOL:
            raise InvalidInput(f"{tool.name} and {other.name} read the same", field="tools", hint="rename one")
    return found


def _wire(name: str) -> str:
    return name.replace(".", "__")[:64]


def _readable(name: str) -> str:
    """A name as the model wrote it, fit to be sent back."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "_-") else "_" for each in name)[:64] or "_"


def _words(told: JsonValue) -> str:
    """A result as text, no longer than may be read."""
    text = told if isinstance(told, str) else orjson.dumps(told).decode()
    if len(text.encode()) <= MAX_TOLD_BYTES:
        return text
    return text.encode()[:MAX_TOLD_BYTES].decode("utf-8", "ignore") + " [the rest is left out]"
