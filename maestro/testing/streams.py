"""How a scripted answer is streamed: frames of OpenAI chat, Anthropic Messages, Azure Foundry, Bedrock invoke.

OpenAI and Anthropic send server-sent events, Bedrock its binary event stream with Anthropic's events inside. Each frame
is one that the public documentation of the provider has; the last but one of OpenAI carries usage and no choice.
"""

import base64
import json
import struct
from collections.abc import Iterator
from zlib import crc32

from pydantic import JsonValue

from maestro.testing.formats import ANTHROPIC_STOPS, JsonObject, Say

PIECES = 3  # a text comes in so many deltas


def is_stream(path: str, body: JsonObject) -> bool:
    """True when the request wants its answer in pieces."""
    return path.endswith("/invoke-with-response-stream") or body.get("stream") is True


def content_type(path: str) -> str:
    return "application/vnd.amazon.eventstream" if "/invoke" in path else "text/event-stream"


def frames(path: str, say: Say, body: JsonObject) -> list[bytes]:
    """The answer, frame by frame."""
    if "/invoke" in path:
        return [_eventstream(event) for event in _anthropic(say, body)]
    if path.endswith("/messages"):
        return [_named(event) for event in _anthropic(say, body)]
    return [*(_sse(event) for event in _openai(say, body)), b"data: [DONE]\n\n"]


def _pieces(text: str) -> list[str]:
    size = max(1, -(-len(text) // PIECES))
    return [text[place : place + size] for place in range(0, len(text), size)]


def _openai(say: Say, body: JsonObject) -> Iterator[JsonObject]:
    def chunk(choices: list[JsonValue], **more: JsonValue) -> JsonObject:
        fixed: JsonObject = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0}
        return {**fixed, "model": body.get("model"), "choices": choices, **more}

    def delta(said: JsonObject, stop: str | None = None) -> JsonObject:
        return chunk([{"index": 0, "delta": said, "finish_reason": stop}])

    yield delta({"role": "assistant", "content": ""})
    for piece in _pieces(say.text):
        yield delta({"content": piece})
    if say.tool:
        call: JsonObject = {"index": 0, "id": "call_1", "type": "function"}
        yield delta({"tool_calls": [{**call, "function": {"name": say.tool[0], "arguments": ""}}]})
        yield delta({"tool_calls": [{"index": 0, "function": {"arguments": say.tool[1]}}]})
    yield delta({}, say.stop)
    counted: JsonObject = {
        "prompt_tokens": say.input_tokens,
        "completion_tokens": say.output_tokens,
        "total_tokens": say.input_tokens + say.output_tokens,
        "prompt_tokens_details": {"cached_tokens": say.cache_read_tokens},
    }
    if usage := counted if say.usage is None else dict(say.usage):
        yield chunk([], usage=usage)


def _anthropic(say: Say, body: JsonObject) -> Iterator[JsonObject]:
    counted: JsonObject = {
        "input_tokens": say.plain_tokens,
        "cache_creation_input_tokens": say.cache_creation_tokens,
        "cache_read_input_tokens": say.cache_read_tokens,
        "output_tokens": 1,
    }
    begun: JsonObject = {"id": "msg_fake", "type": "message", "role": "assistant", "model": body.get("model")}
    begun |= {"content": [], "stop_reason": None, "stop_sequence": None}
    if say.usage is None:
        begun["usage"] = counted
    yield {"type": "message_start", "message": begun}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for piece in _pieces(say.text):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    if say.tool:
        block: JsonObject = {"type": "tool_use", "id": "call_1", "name": say.tool[0], "input": {}}
        yield {"type": "content_block_start", "index": 1, "content_block": block}
        part: JsonObject = {"type": "input_json_delta", "partial_json": say.tool[1]}
        yield {"type": "content_block_delta", "index": 1, "delta": part}
        yield {"type": "content_block_stop", "index": 1}
    ended: JsonObject = {"stop_reason": ANTHROPIC_STOPS.get(say.stop, say.stop), "stop_sequence": None}
    usage: JsonObject = {"output_tokens": say.output_tokens} if say.usage is None else dict(say.usage)
    last: JsonObject = {"type": "message_delta", "delta": ended}
    yield {**last, "usage": usage} if usage else last
    yield {"type": "message_stop"}


def _sse(event: JsonObject) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def _named(event: JsonObject) -> bytes:
    return f"event: {event['type']}\n".encode() + _sse(event)


def _eventstream(event: JsonObject) -> bytes:
    """One message of AWS's binary event stream: lengths, their checksum, headers, payload, checksum of all."""
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
    told = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(_header(name, value) for name, value in told.items())
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
