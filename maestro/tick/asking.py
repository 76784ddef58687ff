"""What a model call was asked, kept so that it can be read, and asked again, word for word.

A prompt is kept as trees of blocks (maestro.continuation.blocks), cut where the field's entries begin: an entry that
stands in a thousand prompts is stored once, and a prompt in which one entry changed adds that entry and a node or two.
Invariant: `kept_prompt(await read_prompt(ref))` is `ref`: the same request is kept under the same names.
"""

from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from maestro.continuation.blocks import Fetch, kept, kept_text, read
from maestro.field.compose import Composed
from maestro.pager.dispatch import Message

_ENTRY = "<entry "
"""How an entry begins; none has it inside, compose escapes it."""


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


def prompt_of(composed: Composed, answer_schema: dict[str, JsonValue] | None, max_output_tokens: int) -> Prompt:
    """The prompt that `composed` makes."""
    manifest = composed.manifest
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
    lines = manifest.pop("lines", [])
    listed = [orjson.dumps(line).decode() + "\n" for line in lines] if isinstance(lines, list) else []
    return {
        "system": kept_text([prompt.system], into),
        "messages": [[message.role, kept_text(_pieces(message.content), into)] for message in prompt.messages],
        "schema": kept(prompt.answer_schema, into),
        "max_output_tokens": prompt.max_output_tokens,
        "manifest": {**manifest, "lines": kept_text(listed, into)},
        "manifest_hash": prompt.manifest_hash,
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
    lines = str(await read(manifest["lines"], fetch)).splitlines()
    whole = {**manifest, "lines": [orjson.loads(line) for line in lines]}
    return Prompt(
        system=str(await read(system, fetch)),
        messages=tuple([await _message(kept_message, fetch) for kept_message in messages]),
        answer_schema=answer_schema if isinstance(answer_schema, dict) else None,
        max_output_tokens=most,
        manifest=whole,
        manifest_hash=manifest_hash,
        tokens=int(str(manifest["tokens"])),
    )


def _pieces(text: str) -> list[str]:
    """The text, cut before each entry."""
    head, *entries = text.split(_ENTRY)
    return [head, *(_ENTRY + entry for entry in entries)]


async def _message(kept_message: JsonValue, fetch: Fetch) -> Message:
    role, text = kept_message if isinstance(kept_message, list) else ("", None)
    return Message.model_validate({"role": role, "content": await read(text, fetch)})
