"""Tool servers: what a person has said of an MCP server, what was approved of its tools, and how they become our tools.

A server offers tools; a person approves an offer by its digest; what is approved is a tool named `SERVER.TOOL`. What
the server says later under the same name is another offer, and is off until it is approved too.
Invariants: pure; no tool without an approval; what nobody has classified is `unsafe`; each result is untrusted; no
schema of a server runs a pattern of its making, fetches anything, or is followed without end.

Source: spec/04 section 5 (A-51, A-52); PROMISES B66, F76, 5.7.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import orjson
from jsonschema import Draft202012Validator, ValidationError, validators  # type: ignore[import-untyped]  # it ships none
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, create_model, model_validator
from referencing import Registry

from maestro.errors import ToolFailed
from maestro.ids import check_label
from maestro.tools.spec import KEY_PARAMETER, MAX_TIMEOUT_S, Risk, SideEffect, Spec, Tool

Transport = Literal["stdio", "sse", "http"]

MAX_TOOLS = 1_000  # of one server; more is a server that floods
MAX_OFFER_BYTES = 64 * 1024
MAX_DESCRIPTION_CHARS = 4_000
MAX_FOLLOWED = 1_000  # references of a schema followed for one set of arguments
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


class ToolServer(BaseModel):
    """One MCP server as the installation is told of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    command: str | None = None
    """What is run for a server on standard streams; with `args`, without a shell."""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    """All that it is given beside what every worker has; `file:PATH` stands for the text of a private file."""
    cwd: str | None = None
    memory_mib: Annotated[int, Field(ge=16)] | None = None
    """Address space of its process; None is no limit: some run-times reserve much that they never use."""
    url: str | None = None
    transport: Transport = "http"
    token_file: str | None = None
    """A private file with the bearer token for this server, and for no other."""
    tools: tuple[str, ...] | None = None
    """Which of its tools are used; None is all that are approved."""
    side_effects: Mapping[str, SideEffect] = {}
    key_parameters: Mapping[str, str] = {}
    """Tool -> the parameter that takes the key of a `keyed` one."""
    high_risk: tuple[str, ...] = ()
    outgoing: bool | None = None
    """None: a server behind an address is, one that runs here is not."""
    scopes: tuple[str, ...] = ()
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)] = 30.0
    at_most: Annotated[int, Field(ge=1, le=64)] = 8
    """Calls under way at once, of one process."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise ValueError("a server is named by 1 to 32 letters, digits, '_' and '-': its tools are NAME.TOOL")
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` or `url`")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("`url` begins with http:// or https://")
        if self.url is not None and self.transport == "stdio":
            raise ValueError("a server at a `url` speaks `http` or `sse`")
        if self.command is not None and self.token_file is not None:
            raise ValueError("a server that is run here takes its secrets by `env`, as file:PATH")
        keyed = {tool for tool, effect in self.side_effects.items() if effect is SideEffect.KEYED}
        if keyed != set(self.key_parameters):
            raise ValueError("each `keyed` tool has its parameter in `key_parameters`, and no other tool has one")
        return self

    @property
    def spoken(self) -> Transport:
        return "stdio" if self.command is not None else self.transport

    @property
    def is_outgoing(self) -> bool:
        return self.url is not None if self.outgoing is None else self.outgoing


class Offer(BaseModel):
    """One tool as its server tells of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    parameters: Mapping[str, JsonValue]
    output: Mapping[str, JsonValue] | None = None
    annotations: Mapping[str, JsonValue] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of every word of it."""
        said = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(said).hexdigest()


Offers = Mapping[str, Offer]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a server offers other than what was approved."""

    tool: str
    kind: Literal["new", "changed", "gone", "unusable"]
    told: str
    """In words and lines for a person: what it is now, and what it was."""


def list_digest(offers: Iterable[Offer]) -> str:
    """SHA-256 over a whole list, in any order."""
    said = sorted(f"{offer.name} {offer.digest}" for offer in offers)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def differences(approved: Offers, offered: Offers, server: str) -> tuple[Difference, ...]:
    """What a person has to look at, by name; empty when the server offers what was approved."""
    found: list[Difference] = []
    for name in sorted({*approved, *offered}):
        old, new = approved.get(name), offered.get(name)
        if new is None:
            found.append(Difference(name, "gone", "it is offered no more"))
        elif (problem := unusable(new, server)) is not None:
            found.append(Difference(name, "unusable", problem))
        elif old is None:
            found.append(Difference(name, "new", _lines("+", new)))
        elif old.digest != new.digest:
            found.append(Difference(name, "changed", f"{_lines('-', old)}\n{_lines('+', new)}"))
    return tuple(found)


def unusable(offer: Offer, server: str) -> str | None:
    """Why an offer can be no tool of ours, or None."""
    if not _REMOTE.fullmatch(offer.name) or len(server) + 1 + len(offer.name) > 64:
        return "its name is too long, or has signs that no name of a tool has"
    if len(orjson.dumps(offer.model_dump(mode="json"))) > MAX_OFFER_BYTES:
        return f"its description is beyond {MAX_OFFER_BYTES} bytes"
    if offer.parameters.get("type") != "object":
        return "its parameters are no object"
    try:
        Draft202012Validator.check_schema(dict(offer.parameters))
    except Exception as error:  # noqa: BLE001 - whatever a schema of a stranger does to its check, it is not used
        return f"its parameters are no JSON schema: {str(error)[:200]}"
    return None


def tools_of(server: ToolServer, approved: Offers) -> list[Tool]:
    """The tools that a person has approved and the server's entry exposes, by name."""
    names = sorted(approved) if server.tools is None else [name for name in server.tools if name in approved]
    return [_tool(server, approved[name]) for name in names if unusable(approved[name], server.name) is None]


def plain(text: str) -> str:
    """`text` without what hides or moves other text."""
    return _CONTROL.sub(" ", text)


def _tool(server: ToolServer, offer: Offer) -> Tool:
    name = check_label(f"{server.name}.{offer.name}", "tool")
    effect = server.side_effects.get(offer.name, SideEffect.UNSAFE)
    hidden = server.key_parameters.get(offer.name)
    shown = _without(offer.parameters, hidden)
    risk: Risk = "high" if offer.name in server.high_risk else "low"
    spec = Spec(
        name=name,
        description=plain(offer.description)[:MAX_DESCRIPTION_CHARS] or name,
        parameters=shown,
        side_effect=effect,
        version=1 + int(offer.digest[:8], 16),  # what a person has said of one offer, nobody has said of another
        risk=risk,
        outgoing=server.is_outgoing,
        scopes=server.scopes,
        timeout_s=server.timeout_s,
        runs="server",
    )
    place = f"{server.name}:{offer.name}"
    return Tool(spec, _elsewhere, _model(name, shown), place, TypeAdapter(JsonValue), effect is SideEffect.KEYED)


def _without(schema: Mapping[str, JsonValue], hidden: str | None) -> dict[str, JsonValue]:
    """The schema as a model is shown it: what Maestro fills is not in it."""
    shown = dict(schema)
    if hidden is None:
        return shown
    properties, required = shown.get("properties"), shown.get("required")
    if isinstance(properties, dict):
        shown["properties"] = {name: each for name, each in properties.items() if name != hidden}
    if isinstance(required, list):
        shown["required"] = [name for name in required if name != hidden]
    return shown


def _model(name: str, schema: Mapping[str, JsonValue]) -> type[BaseModel]:
    """A model that takes what the schema takes."""
    check = _checker(schema)

    def checked(given: Any) -> Any:
        try:
            check(given)
        except ValidationError as error:
            where = ".".join(map(str, error.absolute_path))
            raise ValueError(f"{where + ': ' if where else ''}{error.message[:300]}") from None
        except RecursionError:
            raise ValueError("its schema is followed without end") from None
        except Exception as error:  # noqa: BLE001 - a schema of a stranger may be anything
            raise ValueError(f"its schema cannot be followed: {str(error)[:200]}") from None
        return given

    looks: dict[str, Any] = {"checked": model_validator(mode="before")(checked)}
    made: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="allow"), __validators__=looks)
    return made


def _checker(schema: Mapping[str, JsonValue]) -> Callable[[Any], None]:
    """Raises ValidationError where the schema is not met.

    What costs without bound in a stranger's schema is the server's own to check: patterns, formats, content.
    """
    followed = [0]
    follow = Draft202012Validator.VALIDATORS["$ref"]

    def ref(validator: Any, target: Any, instance: Any, inside: Any) -> Any:
        followed[0] += 1
        if followed[0] > MAX_FOLLOWED:
            raise RecursionError
        yield from follow(validator, target, instance, inside) or ()

    left_out = dict.fromkeys(("pattern", "patternProperties", "format", "$dynamicRef", "contentEncoding"))
    extended = validators.extend(Draft202012Validator, {"$ref": ref, **dict.fromkeys(left_out, _anything)})
    validator = extended(dict(schema), registry=Registry())

    def check(given: Any) -> None:
        followed[0] = 0
        validator.validate(given)

    return check


def _anything(*_: Any) -> tuple[()]:
    return ()


def _lines(sign: str, offer: Offer) -> str:
    """An offer, line by line, as a person compares it."""
    said = [f"description: {line}" for line in plain(offer.description).splitlines() or [""]]
    for label, value in (
        ("parameters", offer.parameters),
        ("returns", offer.output),
        ("says of itself", offer.annotations),
    ):
        if value:
            said.append(f"{label}: {plain(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())}")
    return "\n".join(f"{sign} {line}" for line in said)


def _elsewhere(**_: Any) -> Any:
    raise ToolFailed("this tool is its server's to carry out", hint=f"use it by its name, without {KEY_PARAMETER}")
