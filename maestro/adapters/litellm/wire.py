"""A request in LiteLLM's chat format, and a response out of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from litellm.types.utils import ChatCompletionMessageToolCall, Choices, ModelResponse
from pydantic import JsonValue, TypeAdapter, ValidationError

from maestro.adapters.litellm.structured import JsonObject, schema_instruction
from maestro.pager.dispatch import Message, ModelUsage, StopReason, Tool, ToolCall
from maestro.pager.request import ModelRequest

MAX_ANSWER_BYTES = 1_000_000  # a tick's journal holds the answer; no max_output_tokens of ours comes near

_STOPS = {"stop": StopReason.END, "length": StopReason.LENGTH, "tool_calls": StopReason.TOOL_CALLS}
_ARGUMENTS: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class UnreadableAnswer(ValueError):
    """The response is no answer; the message says what is missing."""


class RefusedAnswer(ValueError):
    """The provider's own policy ended the answer."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """What came back, before it is priced."""

    content: str
    tool_calls: tuple[ToolCall, ...]
    stop_reason: StopReason


def wire_messages(request: ModelRequest, breakpoints: bool = False) -> list[JsonObject]:
    """The prompt: system first, with the instruction of a schema at its end.

    Args:
        breakpoints: the provider caches up to where it is told: after the system prompt, and after the stable messages.
    """
    parts = [request.system] if request.system else []
    if request.answer_schema is not None:
        parts.append(schema_instruction(request.answer_schema))
    system: list[JsonObject] = [{"role": "system", "content": "\n\n".join(parts)}] if parts else []
    wire = system + [_wire_message(message) for message in request.messages]
    if breakpoints:
        for place in {len(system), len(system) + request.stable_messages} - {0}:
            wire[place - 1] = _until_here(wire[place - 1])
    return wire


def _until_here(wire: JsonObject) -> JsonObject:
    """The same message, at whose end a cached prefix ends."""
    block: JsonObject = {"type": "text", "text": wire["content"], "cache_control": {"type": "ephemeral"}}
    return {**wire, "content": [block]} if wire["content"] else wire


def wire_tools(tools: Sequence[Tool]) -> list[JsonObject]:
    """Tool definitions as functions."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def _wire_message(message: Message) -> JsonObject:
    wire: JsonObject = {"role": message.role, "content": message.content}
    if message.tool_call_id:
        wire["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
            for c in message.tool_calls
        ]
    return wire


def read_answer(response: ModelResponse) -> WireAnswer:
    """The first choice of `response`.

    Raises:
        RefusedAnswer: the provider's policy cut it off.
        UnreadableAnswer: no choice, neither text nor tool call in it, or arguments that are no JSON object.
    """
    choice = response.choices[0] if response.choices else None
    if not isinstance(choice, Choices):
        raise UnreadableAnswer("the response has no choice")
    if choice.finish_reason == "content_filter":
        raise RefusedAnswer("the provider's content policy ended the answer")
    calls = tuple(_tool_call(call) for call in choice.message.tool_calls or ())
    content = choice.message.content or ""
    if not content.strip() and not calls:
        raise UnreadableAnswer(f"the answer is empty, with finish reason {choice.finish_reason!r}")
    stop = _STOPS.get(choice.finish_reason, StopReason.OTHER)
    kept = content.encode("utf-8", "replace")[:MAX_ANSWER_BYTES].decode("utf-8", "ignore")
    return WireAnswer(kept, calls, stop if len(kept) == len(content) else StopReason.LENGTH)


def _tool_call(call: object) -> ToolCall:
    if not isinstance(call, ChatCompletionMessageToolCall):
        raise UnreadableAnswer("the answer asks for a tool that is no function")
    try:
        arguments = _ARGUMENTS.validate_json(call.function.arguments or "{}")
    except ValidationError:
        raise UnreadableAnswer(f"the arguments of tool call {call.function.name!r} are no JSON object") from None
    return ToolCall(id=call.id or "", name=call.function.name or "", arguments=arguments)


def read_usage(response: ModelResponse) -> ModelUsage | None:
    """The billed tokens, or None where a figure is missing, negative or no whole number."""
    usage = getattr(response, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    try:
        return ModelUsage(
            executor_input_tokens=getattr(usage, "prompt_tokens", None) or 0,
            executor_output_tokens=getattr(usage, "completion_tokens", None) or 0,
            cache_read_tokens=getattr(details, "cached_tokens", None) or 0,
            cache_creation_tokens=getattr(usage, "cache_creation_input_tokens", None) or 0,
        )
    except ValidationError:
        return None
