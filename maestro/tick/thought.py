"""A thought: what a behaviour asks a model, before anything is composed or priced."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import orjson
from pydantic import BaseModel, JsonValue

from maestro.continuation.edits import Edits
from maestro.ids import CallId
from maestro.pager.dispatch import Message, Tool, ToolCall
from maestro.policy.question import Signals

STREAMED = "stream"
"""In the question of an effect: the call under which its answer is told in pieces."""


@dataclass(frozen=True, slots=True)
class Thought:
    """One question, the material it is about, and the shape of its answer."""

    question: str
    about: str
    step: str | None
    """The gradient step that is asked for; None leaves it to the signals."""
    schema: type[BaseModel] | None
    max_output_tokens: int
    edits: Edits | None = None
    """How the context is shown to it, where this tick has changed that."""
    signals: Signals = Signals()
    """What is known about the work."""
    stream: bool = False
    """Whether the answer is told in pieces while it is written."""
    prompt: JsonValue = None
    """A kept prompt to ask word for word, in place of one composed of question and field: see maestro.tick.asking."""
    tools: tuple[Tool, ...] = ()
    """What the model may ask for: see maestro.tick.exchange."""
    exchange: tuple[Message, ...] = ()
    """What was said since the question: its calls of tools, and what they returned."""

    @property
    def json_schema(self) -> dict[str, JsonValue] | None:
        return None if self.schema is None else _schema_of(self.schema)

    @property
    def key(self) -> str:
        """What makes two thoughts the same one: not the field, which may have moved on since the first try."""
        asked: list[JsonValue] = [self.question, self.about, self.step, self.json_schema, self.max_output_tokens]
        if self.exchange:  # which tools were shown may change with the code; what was said may not
            asked.append([message.model_dump(mode="json") for message in self.exchange])
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model said to a thought."""

    content: str
    calls: tuple[ToolCall, ...] = ()
    asked: JsonValue = None
    """The kept prompt that it answers."""


def turn_of(answer: JsonValue, asked: JsonValue) -> Turn:
    """A journaled answer to the kept prompt `asked`."""
    told = answer if isinstance(answer, dict) else {"content": str(answer)}
    calls = told.get("tool_calls")
    wishes = tuple(ToolCall.model_validate(call) for call in calls) if isinstance(calls, list) else ()
    return Turn(str(told["content"]), wishes, asked)


class Thoughtful(Protocol):
    """Answers the thoughts of one tick, turn by turn."""

    async def turn(self, thought: Thought) -> Turn:
        """The model's answer, journaled; or the tools that it asks for."""
        ...


def streamed(question: JsonValue) -> CallId | None:
    """The call whose answer is told in pieces, of an effect's question; None where it is told whole."""
    call = question.get(STREAMED) if isinstance(question, dict) else None
    return None if call is None else CallId(str(call))


@lru_cache(maxsize=256)
def _schema_of(answer: type[BaseModel]) -> dict[str, JsonValue]:
    """The JSON schema of an answer; made once, it takes longer than the rest of a tick."""
    return answer.model_json_schema()
