"""What a model call was asked, kept so that it can be read, and asked again, word for word.

A prompt is kept as trees of blocks (maestro.continuation.blocks), cut where the spans of its manifest meet: an entry
that stands in a thousand prompts is stored once, and a prompt in which one entry changed adds it and a node or two.
Invariant: `kept_prompt(await read_prompt(ref))` is `ref`: the same request is kept under the same names.
"""

from dataclasses import dataclass, replace

import orjson
from pydantic import JsonValue

from maestro.continuation.blocks import Fetch, kept, kept_text, name_of, read
from maestro.field.compose import stable_messages
from maestro.field.manifest import Composed, Span, cut, estimate_tokens
from maestro.pager.dispatch import Message, Tool

_ENTRY = "<entry "
"""How an entry begins; none has it inside, compose escapes it."""
_LISTS = ("lines", "spans")
"""What of a manifest is long, and mostly the same from call to call."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model is sent, but for who is asked."""

    system: str
    messages: tuple[Message, ...]
    answer_schema: dict[str, JsonValue] | None
    max_output_tokens: int
    manifest: JsonValue
    """What of the field stands in it, and why: maestro.field.compose.Manifest."""
    manifest_hash: str
    tokens: int
    """Estimate of the whole."""
    tools: tuple[Tool, ...] = ()
    """What the model may ask for."""
    exchange: tuple[Message, ...] = ()
    """What was said since the last of `messages`: calls of tools, and what they returned."""

    @property
    def said(self) -> tuple[Message, ...]:
        """All messages of the request."""
        return (*self.messages, *self.exchange)

    @property
    def stable_messages(self) -> int:
        """How many of the first messages the next request is likely to begin with: all that an exchange began with."""
        if self.tools:
            return len(self.messages)
        return stable_messages([message.content for message in self.messages])

    def with_tools(self, tools: tuple[Tool, ...], exchange: tuple[Message, ...]) -> "Prompt":
        """The same question, in the midst of an exchange; the manifest is of what was composed, not of what follows."""
        tokens = self.tokens - _tokens_of(self.tools, self.exchange) + _tokens_of(tools, exchange)
        return replace(self, tools=tools, exchange=exchange, tokens=tokens)


def _tokens_of(tools: tuple[Tool, ...], exchange: tuple[Message, ...]) -> int:
    return sum(estimate_tokens(each.model_dump_json()) for each in (*tools, *exchange))


def prompt_of(composed: Composed, answer_schema: dict[str, JsonValue] | None, max_output_tokens: int) -> Prompt:
    """The prompt that `composed` makes."""
    schema_hash = None if answer_schema is None else name_of(orjson.dumps(answer_schema, option=orjson.OPT_SORT_KEYS))
    manifest = composed.manifest.model_copy(update={"answer_schema_hash": schema_hash})
    return Prompt(
        system=composed.system,
        messages=tuple(Message(role=message.role, content=message.content) for message in composed.messages),
        answer_schema=answer_schema,
        max_output_tokens=max_output_tokens,
        manifest=manifest.model_dump(mode="json"),
        manifest_hash=manifest.hash,
        tokens=manifest.tokens,
    )


def kept_prompt(prompt: Prompt, into: dict[str, bytes]) -> JsonValue:
    """A value of a few hundred bytes, whatever the prompt's size, that stands for it; its blocks are in `into`."""
    manifest = dict(prompt.manifest) if isinstance(prompt.manifest, dict) else {}
    listed = {name: _listed(manifest.pop(name)) for name in _LISTS if manifest.get(name) is not None}
    system, *messages = _pieces(prompt)
    return {
        "system": kept_text(system, into),
        "messages": [
            [message.role, kept_text(pieces, into)] for message, pieces in zip(prompt.messages, messages, strict=True)
        ],
        "schema": kept(prompt.answer_schema, into),
        "max_output_tokens": prompt.max_output_tokens,
        "manifest": {**manifest, **{name: kept_text(lines, into) for name, lines in listed.items()}},
        "manifest_hash": prompt.manifest_hash,
        **_kept_exchange(prompt, into),
    }


def _kept_exchange(prompt: Prompt, into: dict[str, bytes]) -> dict[str, JsonValue]:
    """Each tool and each message once, however many turns it stands in; nothing where there are none."""
    parts = {"tools": prompt.tools, "exchange": prompt.exchange}
    return {
        name: [kept(each.model_dump(mode="json"), into, apart=True) for each in part]
        for name, part in parts.items()
        if part
    }


async def read_prompt(ref: JsonValue, fetch: Fetch) -> Prompt:
    """The prompt that `ref` stands for.

    Raises:
        IntegrityError: a block of it is missing or was changed.
    """
    match ref:
        case {
            "system": system,
            "messages": list(messages),
            "schema": schema,
            "max_output_tokens": int(most),
            "manifest": dict(manifest),
            "manifest_hash": str(manifest_hash),
        }:
            pass
        case _:
            raise ValueError(f"{str(ref)[:80]} is no kept prompt")
    answer_schema = await read(schema, fetch)
    listed = {name: str(await read(manifest[name], fetch)).splitlines() for name in _LISTS if name in manifest}
    whole = {**manifest, **{name: [orjson.loads(line) for line in lines] for name, lines in listed.items()}}
    return Prompt(
        system=str(await read(system, fetch)),
        messages=tuple([await _message(kept_message, fetch) for kept_message in messages]),
        answer_schema=answer_schema if isinstance(answer_schema, dict) else None,
        max_output_tokens=most,
        manifest=whole,
        manifest_hash=manifest_hash,
        tokens=int(str(manifest["tokens"])),
    ).with_tools(
        tuple([Tool.model_validate(each) for each in await _exchanged(ref, "tools", fetch)]),
        tuple([Message.model_validate(each) for each in await _exchanged(ref, "exchange", fetch)]),
    )


async def _exchanged(ref: JsonValue, part: str, fetch: Fetch) -> list[JsonValue]:
    listed = ref.get(part, []) if isinstance(ref, dict) else []
    return [await read(each, fetch) for each in listed] if isinstance(listed, list) else []


def _pieces(prompt: Prompt) -> list[list[str]]:
    """System and messages, cut where the spans of the manifest meet; before entries, where it has no spans yet."""
    texts = [prompt.system, *(message.content for message in prompt.messages)]
    spans = prompt.manifest.get("spans") if isinstance(prompt.manifest, dict) else None
    if isinstance(spans, list) and spans:
        return cut(texts, [Span.model_validate(span) for span in spans])
    return [[prompt.system], *map(_before_entries, texts[1:])]


def _before_entries(text: str) -> list[str]:
    head, *entries = text.split(_ENTRY)
    return [head, *(_ENTRY + entry for entry in entries)]


def _listed(lines: JsonValue) -> list[str]:
    return [orjson.dumps(line).decode() + "\n" for line in lines] if isinstance(lines, list) else []


async def _message(kept_message: JsonValue, fetch: Fetch) -> Message:
    role, text = kept_message if isinstance(kept_message, list) else ("", None)
    return Message.model_validate({"role": role, "content": await read(text, fetch)})
