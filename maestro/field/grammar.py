"""The verbs by which a model or a person edits a context, and their strict grammar.

    pin #id · unpin #id · collapse #id · expand #id · hide #id · remove #id · restore #id
    show <n> levels [headers] under #id
    find <text>

Several commands are parted by `;`. Invariant: what is not exactly one of these is refused, with its place and the
grammar, and nothing of the whole line is carried out.

Source: spec/03 section 7.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from maestro.errors import InvalidInput
from maestro.ids import EntryId

GRAMMAR = "pin|unpin|collapse|expand|hide|remove|restore #id; show N levels [headers] under #id; find TEXT"
MAX_COMMANDS = 50
_ID = r"(?P<id>#[\w.-]{1,100})"
_FORMS = (
    re.compile(rf"(?P<verb>pin|unpin|collapse|expand|hide|remove|restore)\s+{_ID}"),
    re.compile(rf"(?P<verb>show)\s+(?P<levels>[1-6])\s+levels?(\s+headers)?\s+under\s+{_ID}"),
    re.compile(r"(?P<verb>find)\s+(?P<text>\S.*)"),
)


class Verb(StrEnum):
    PIN = "pin"
    UNPIN = "unpin"
    COLLAPSE = "collapse"
    EXPAND = "expand"
    HIDE = "hide"
    SHOW = "show"
    REMOVE = "remove"
    RESTORE = "restore"
    FIND = "find"


@dataclass(frozen=True, slots=True)
class Command:
    """One verb and what it is about."""

    verb: Verb
    id: EntryId | None = None
    levels: int = 6
    text: str = ""


def parse(line: str) -> tuple[Command, ...]:
    """The commands of `line`, in their order.

    Raises:
        InvalidInput: one of them is none, or they are too many.
    """
    said = [part.strip() for part in line.split(";")]
    if said and not said[-1]:
        said.pop()  # one `;` at the end is no command
    if not 1 <= len(said) <= MAX_COMMANDS:
        raise InvalidInput(
            f"{len(said)} commands, 1 to {MAX_COMMANDS} are taken", field="commands", hint=f"write {GRAMMAR}"
        )
    return tuple(_command(text, place) for place, text in enumerate(said, 1))


def _command(text: str, place: int) -> Command:
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        raise InvalidInput(f"command {place}, {text[:60]!r}, is none", field="commands", hint=f"write {GRAMMAR}")
    parts = found.groupdict()
    name = parts.get("id")
    return Command(
        verb=Verb(parts["verb"]),
        id=EntryId(name) if name else None,
        levels=int(parts.get("levels") or 6),
        text=parts.get("text") or "",
    )
