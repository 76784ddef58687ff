"""Tool context: what one tool returned, given to others without a model seeing it; and secrets that nobody sees.

    tool_context = ToolContext(
        Variable("session", capture_from=[("login", "session.id")], inject_into=["orders", "basket"], secret=True),
        Variable("key", inject_into=["search"], parameter="api_key", secret=True, reference="file:/run/search.key"),
    )

A variable has the value that was last captured for it; else its reference, its initial value, or none: then nothing is
injected, and the parameter stays visible.
Invariants: pure; what is injected is not in the schema that a model is shown; a secret is never an argument that is
journaled, asked about, logged or told: it is put in when the call leaves for its worker, and taken out of what comes
back.

Source: spec/04 section 9 (A-54, X-14); PROMISES 5.9.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput, ToolDeclined
from maestro.ids import check_label
from maestro.tools.spec import Spec

HIDDEN = "[secret]"
EVERY = "*"
SHORTEST = 4  # characters of a secret that is taken out of what is told: shorter ones are everywhere by chance


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that tools share."""

    name: str
    capture_from: Sequence[tuple[str, str]] = ()
    """(tool, path of a field in its result, such as `session.id`)."""
    inject_into: Sequence[str] = ()
    """Names of tools; `*` is every tool that takes the parameter."""
    parameter: str | None = None
    """What the tools call it; by default as the variable."""
    override: bool = False
    """True: it also takes the place of what the call gave."""
    secret: bool = False
    reference: str | None = None
    """Where a secret is before anything is captured: `env:NAME` or `file:PATH`."""
    initial: JsonValue = None

    def __post_init__(self) -> None:
        check_label(self.name, "variable")
        if self.reference is not None and not self.secret:
            raise InvalidInput(
                f"variable {self.name!r}: what a reference leads to is secret", field="secret", hint="say secret=True"
            )
        if self.secret and self.initial is not None:
            raise InvalidInput(
                f"variable {self.name!r} has its secret in the code", field="initial", hint="give a `reference`"
            )

    @property
    def goes_to(self) -> str:
        return self.parameter or self.name


class ToolContext:
    """What a kind of continuation shares between its tools."""

    def __init__(self, *variables: Variable) -> None:
        self.variables = variables
        names = [variable.name for variable in variables]
        if len(set(names)) < len(names):
            raise InvalidInput("two variables have one name", field="tool_context", hint="give each its own")

    @classmethod
    def of(cls, *, capture: Mapping[str, str], inject: Mapping[str, str]) -> Self:
        """The short form: {tool: field} is captured under the field's name, {parameter: name} put in where it fits."""
        names = dict.fromkeys((*capture.values(), *inject.values()))
        return cls(
            *(
                Variable(
                    name,
                    capture_from=tuple((tool, path) for tool, path in capture.items() if path == name),
                    inject_into=(EVERY,) if name in inject.values() else (),
                    parameter=next((parameter for parameter, meant in inject.items() if meant == name), None),
                )
                for name in names
            )
        )

    def for_tool(self, tool: str) -> tuple[Variable, ...]:
        """Those that are injected into it."""
        return tuple(variable for variable in self.variables if {tool, EVERY} & set(variable.inject_into))

    def captured_from(self, tool: str) -> tuple[tuple[Variable, str], ...]:
        """(variable, path) of what its results are looked through for."""
        return tuple((each, path) for each in self.variables for source, path in each.capture_from if source == tool)

    @property
    def keeps_secrets(self) -> bool:
        return any(variable.secret for variable in self.variables)


NO_CONTEXT = ToolContext()

Reveal = Callable[[str], str]
"""The secret that a reference such as `file:PATH` leads to."""


def nothing_revealed(reference: str) -> str:
    """Where nobody may look for secrets.

    Raises:
        ToolDeclined: always.
    """
    kind = reference.partition(":")[0]
    raise ToolDeclined(f"{kind}: no secret is to be had here", hint="give the process a way to it")


def field_at(result: JsonValue, path: str) -> JsonValue:
    """The value at a path of names and numbers, such as `orders.0.id`; None where there is none."""
    found = result
    for step in path.split("."):
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def without(spec: Spec, hidden: Iterable[str]) -> Spec:
    """The declaration as a model is shown it, without these parameters."""
    gone = set(hidden)
    if not gone:
        return spec
    shown = dict(spec.parameters)
    properties, required = shown.get("properties"), shown.get("required")
    if isinstance(properties, dict):
        shown["properties"] = {name: each for name, each in properties.items() if name not in gone}
    if isinstance(required, list):
        shown["required"] = [name for name in required if name not in gone]
    return replace(spec, parameters=shown)


def texts_in(secret: JsonValue) -> tuple[str, ...]:
    """What of a secret must not be read anywhere: each of its texts and numbers, the longest first."""
    match secret:
        case dict():
            found = [text for each in secret.values() for text in texts_in(each)]
        case list():
            found = [text for each in secret for text in texts_in(each)]
        case None | bool():
            found = []
        case _:
            found = [str(secret)]
    return tuple(sorted({text for text in found if len(text) >= SHORTEST}, key=lambda text: (-len(text), text)))


def scrubbed(told: JsonValue, secrets: Iterable[str]) -> JsonValue:
    """`told`, with a mark in place of each secret, be it a value, a part of one, or a name."""
    found = sorted(set(secrets), key=len, reverse=True)
    return _scrubbed(told, found) if found else told


def scrubbed_text(text: str, secrets: Iterable[str]) -> str:
    """The same of one text."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        for written in (secret, orjson.dumps(secret).decode()[1:-1]):
            text = text.replace(written, HIDDEN)
    return text


def _scrubbed(told: JsonValue, secrets: list[str]) -> JsonValue:
    match told:
        case str():
            return scrubbed_text(told, secrets)
        case dict():
            return {scrubbed_text(name, secrets): _scrubbed(each, secrets) for name, each in told.items()}
        case list():
            return [_scrubbed(each, secrets) for each in told]
        case int() | float() if str(told) in secrets:
            return HIDDEN
        case _:
            return told
