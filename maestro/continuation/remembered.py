"""What a continuation remembers of its tools from tick to tick: captured values, and which tools its model is shown.

Invariant: a captured secret is not in here; a ref to its block is, and the block has salt, so that its name tells
nothing of it.
"""

from collections.abc import Mapping

import orjson
from pydantic import BaseModel, ConfigDict, JsonValue

from maestro.continuation.blocks import name_of
from maestro.ids import new_token

MAX_CAPTURED_BYTES = 4 * 1024
"""What is larger is no value to pass on, and is not captured."""

Captured = Mapping[str, JsonValue]
"""Variable -> {"value": ...}, or {"secret": ref}."""


class ToolMemory(BaseModel):
    """Part of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    captured: dict[str, JsonValue] = {}
    shown: tuple[str, ...] = ()
    """The tools that its model was last shown."""
    shown_for: str = ""
    """The goal that they were chosen for."""

    def with_captured(self, captured: Captured) -> "ToolMemory":
        """The newest value of each counts."""
        return self.model_copy(update={"captured": {**self.captured, **captured}}) if captured else self


NOTHING_REMEMBERED = ToolMemory()


def captured_value(value: JsonValue) -> JsonValue:
    """A value as it is remembered."""
    return {"value": value}


def captured_secret(value: JsonValue, into: dict[str, bytes]) -> JsonValue:
    """A secret as it is remembered; its block is in `into`."""
    block = orjson.dumps({"salt": [new_token("salt"), new_token("salt")], "value": value})
    name = name_of(block)
    into[name] = block
    return {"secret": {"block": name}}


def secret_block(captured: JsonValue) -> str | None:
    """The name of the block of a remembered secret; None where it is none."""
    match captured:
        case {"secret": {"block": str(name)}}:
            return name
        case _:
            return None


def refs_in(told: JsonValue) -> list[JsonValue]:
    """The blocks that a journaled outcome, or what the log shows of it, has captured secrets in."""
    captured = told.get("captured") if isinstance(told, dict) else None
    named = [secret_block(each) for each in captured.values()] if isinstance(captured, dict) else []
    return [{"block": name} for name in named if name is not None]


def secret_in(block: bytes) -> JsonValue:
    """The secret that a block holds."""
    told: JsonValue = orjson.loads(block)["value"]
    return told
