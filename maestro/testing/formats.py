"""How a scripted answer looks on the wire: of OpenAI chat, Anthropic Messages, Azure Foundry, Bedrock invoke.

Foundry is Anthropic's format below `/anthropic`; Bedrock carries it too, with the model in the path and errors of its
own, named in a header. Every field and every status here is one that the public documentation of the provider has.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Say:
    """An answer with its usage; `usage` replaces the whole of it, {} leaves it out."""

    text: str = "ok"
    input_tokens: int = 10
    """All that was read, from the provider's cache or not."""
    output_tokens: int = 5
    stop: str = "stop"
    """In OpenAI's words: stop, length, tool_calls, content_filter, or one that nobody knows."""
    usage: Mapping[str, JsonValue] | None = None
    tool: tuple[str, str] | None = None
    """Name and arguments (as the text on the wire) of a tool call."""
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0

    @property
    def plain_tokens(self) -> int:
        """Input that had nothing to do with a cache."""
        return self.input_tokens - self.cache_read_tokens - self.cache_creation_tokens


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error as a provider words it."""

    code: int
    message: str
    kind: str | None


class Format(Protocol):
    """One provider's way to write."""

    def answer(self, say: Say, body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
        """The body of a 200, usage last, and the headers that belong to it."""
        ...

    def refusal(self, refusal: Refusal) -> tuple[JsonObject, dict[str, str]]:
        """The body of an error, and its headers."""
        ...


def format_of(path: str) -> Format:
    """Whose path that is."""
    if path.endswith(("/invoke", "/invoke-with-response-stream")):
        return Bedrock()
    return Anthropic() if path.endswith("/messages") else OpenAI()


class OpenAI:
    """POST /v1/chat/completions."""

    def answer(self, say: Say, body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
        message: JsonObject = {"role": "assistant", "content": say.text or None}
        if say.tool:
            function: JsonObject = {"name": say.tool[0], "arguments": say.tool[1]}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        answer: JsonObject = {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 0,
            "model": body.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": say.stop}],
        }
        counted: JsonObject = {
            "prompt_tokens": say.input_tokens,
            "completion_tokens": say.output_tokens,
            "total_tokens": say.input_tokens + say.output_tokens,
            "prompt_tokens_details": {"cached_tokens": say.cache_read_tokens},
        }
        return _with_usage(answer, counted, say), {}

    def refusal(self, refusal: Refusal) -> tuple[JsonObject, dict[str, str]]:
        kind = refusal.kind or ("invalid_request_error" if refusal.code < 500 else "server_error")
        return {"error": {"message": refusal.message, "type": kind, "param": None, "code": refusal.kind}}, {}


ANTHROPIC_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class Anthropic:
    """POST /v1/messages; below /anthropic at Foundry."""

    def answer(self, say: Say, body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
        content: list[JsonValue] = [{"type": "text", "text": say.text}] if say.text else []
        if say.tool:
            content.append({"type": "tool_use", "id": "call_1", "name": say.tool[0], "input": json.loads(say.tool[1])})
        answer: JsonObject = {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": content,
            "stop_reason": ANTHROPIC_STOPS.get(say.stop, say.stop),
            "stop_sequence": None,
        }
        counted: JsonObject = {
            "input_tokens": say.plain_tokens,
            "cache_creation_input_tokens": say.cache_creation_tokens,
            "cache_read_input_tokens": say.cache_read_tokens,
            "output_tokens": say.output_tokens,
        }
        return _with_usage(answer, counted, say), {"request-id": "req_fake"}

    def refusal(self, refusal: Refusal) -> tuple[JsonObject, dict[str, str]]:
        kind = _ANTHROPIC_ERRORS.get(refusal.code, "invalid_request_error" if refusal.code < 500 else "api_error")
        error: JsonObject = {"type": "error", "error": {"type": kind, "message": refusal.message}}
        return error, {"request-id": "req_fake"}


_BEDROCK_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class Bedrock(Anthropic):
    """POST /model/MODEL/invoke, with a model of Anthropic."""

    def answer(self, say: Say, body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
        answer, _ = super().answer(say, body)
        return answer, {"x-amzn-requestid": "fake"}

    def refusal(self, refusal: Refusal) -> tuple[JsonObject, dict[str, str]]:
        kind = _BEDROCK_ERRORS.get(refusal.code)
        headers = {"x-amzn-requestid": "fake"}
        return {"message": refusal.message}, headers | ({"x-amzn-errortype": kind} if kind else {})


def _with_usage(answer: JsonObject, counted: JsonObject, say: Say) -> JsonObject:
    usage = counted if say.usage is None else dict(say.usage)
    return {**answer, "usage": usage} if usage else answer
