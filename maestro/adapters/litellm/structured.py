"""Answers by schema, on any provider: an instruction in the prompt, and a reader that is strict about the result.

Invariants: what `read_object` lets through fits the schema; text around the object is dropped, nothing is mended.
What is not here: asking again (`provider`).

Source: PROMISES B48, F74.
"""

import json
import re
from typing import NoReturn

import jsonschema  # type: ignore[import-untyped]  # ships no types
import orjson
from pydantic import JsonValue

JsonObject = dict[str, JsonValue]

SCHEMA_MARK = "Answer with one JSON object that fits this JSON schema, and with nothing else:"

_OPENING = re.compile(r"\{")


class NotAnObject(ValueError):
    """The text holds no JSON object that fits; the message is for the model to read."""


def schema_instruction(schema: JsonObject) -> str:
    """The part of the system prompt that asks for `schema`."""
    return f"{SCHEMA_MARK}\n{orjson.dumps(schema).decode()}"


def schema_in(system: str) -> tuple[JsonObject | None, str]:
    """The schema that a system prompt asks for, if any, and the prompt without the instruction."""
    before, mark, after = system.partition(SCHEMA_MARK)
    if not mark:
        return None, system
    schema, end = json.JSONDecoder().raw_decode(after.lstrip())
    return schema, before + after.lstrip()[end:]


def read_object(text: str, schema: JsonObject) -> str:
    """The first JSON object in `text` that fits `schema`, as JSON without anything around it.

    Raises:
        NotAnObject: there is none; the text says what is wrong with the first one.
    """
    complaint = "the answer holds no JSON object"
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    for place, opening in enumerate(_OPENING.finditer(text)):
        if place >= 8:  # prose with many braces: what comes later is part of what was read already
            break
        try:
            value, _ = decoder.raw_decode(text, opening.start())
            jsonschema.Draft202012Validator(schema).validate(value)
            return orjson.dumps(value).decode()
        except jsonschema.ValidationError as error:
            complaint = f"at {error.json_path}: {error.message}"[:500]
            break
        except (ValueError, RecursionError, orjson.JSONEncodeError) as error:
            complaint = f"the JSON cannot be read: {error}"[:500]
    raise NotAnObject(complaint)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
