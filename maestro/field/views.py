"""How much of an entry is shown, and how that reads.

    full     title and body                    summary  title and the first sentence: a breadcrumb of what is collapsed
    outline  title and the headings of a body  title    the title alone

Invariants: the same entry in the same view is the same text; no text of an entry can close its own frame and pose as
something else; a section of a body in Markdown has the same id in every re-read, as long as its heading stays where it
was, or is the one that its author gave it: `## Results {#results}`.

Source: spec/03 section 7.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from maestro.field.entry import Entry, entry_id
from maestro.ids import EntryId

SUMMARY_CHARS = 200
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_GIVEN_ID = re.compile(r"\s*\{#([\w.-]+)\}$")
_SENTENCE = re.compile(r"(?<=[.!?])\s")


class View(StrEnum):
    """How much of an entry is shown."""

    FULL = "full"
    SUMMARY = "summary"
    OUTLINE = "outline"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of a body in Markdown, and what stands under it."""

    id: EntryId
    level: int
    title: str
    text: str


Inside = Mapping[EntryId, "View | None"]
"""Section -> its view, where it has one of its own; None for one that is not shown."""


def written(entry: Entry, view: View, levels: int = 6, inside: Inside = MappingProxyType({})) -> str:
    """The entry as a model reads it.

    Args:
        levels: of headings in an outline.
    """
    body = _body(entry, view, levels, inside)
    inner = f"\n{_escaped(body)}" if body else ""
    return f'<entry id="{entry.id}" taint="{entry.taint}">{_escaped(one_line(entry.title))}{inner}</entry>'


def _body(entry: Entry, view: View, levels: int, inside: Inside) -> str:
    match view:
        case View.FULL:
            return _with_sections(entry, 6, inside, View.FULL) if inside else entry.body
        case View.SUMMARY:
            return first_sentence(entry.body)
        case View.OUTLINE:
            return _with_sections(entry, levels, inside, View.TITLE) or first_sentence(entry.body)
        case View.TITLE:
            return ""


def _with_sections(entry: Entry, levels: int, inside: Inside, usual: View) -> str:
    """Headings down to `levels`, and those with a view of their own; under each as much as its view shows."""
    found = sections(entry)
    lines = [preamble(entry)] if usual is View.FULL else []
    for section in found:
        view = inside.get(section.id, usual)
        if view is None or (section.level > levels and section.id not in inside):
            continue
        lines.append(f"{'#' * section.level} {section.title} {section.id}")
        if view is View.FULL:
            lines.append(section.text)
        elif view is View.SUMMARY:
            lines.append(first_sentence(section.text))
    gone = sum(inside.get(section.id, usual) is None for section in found)
    return "\n".join([*filter(None, lines), *([f"({gone} hidden)"] if gone else [])])


def preamble(entry: Entry) -> str:
    """What stands before the first heading."""
    heads = [at for at, _, _ in _heads(entry.body)]
    return "\n".join(entry.body.splitlines()[: heads[0]]).strip() if heads else entry.body


def sections(entry: Entry) -> tuple[Section, ...]:
    """The sections of the entry's body; none where it has no heading."""
    return tuple(_sections(entry))


def _sections(entry: Entry) -> Iterator[Section]:
    lines, heads = entry.body.splitlines(), _heads(entry.body)
    path: list[str] = []
    taken: dict[str, int] = {}
    for place, (at, level, title) in enumerate(heads):
        path = [*path[: level - 1], title]
        name = "/".join(path)
        taken[name] = taken.get(name, 0) + 1  # the second section of the same name is the second in every re-read too
        given = _GIVEN_ID.search(title)
        until = heads[place + 1][0] if place + 1 < len(heads) else len(lines)
        yield Section(
            id=EntryId(f"#{given[1]}") if given else entry_id(entry.id, f"{name}/{taken[name]}"),
            level=level,
            title=_GIVEN_ID.sub("", title),
            text="\n".join(lines[at + 1 : until]).strip(),
        )


def _heads(body: str) -> list[tuple[int, int, str]]:
    """(line, level, title) of each heading; what stands in a fence is code."""
    heads, fenced = [], False
    for at, line in enumerate(body.splitlines()):
        fenced ^= bool(_FENCE.match(line))
        if not fenced and (head := _HEADING.match(line)):
            heads.append((at, len(head[1]), head[2]))
    return heads


def first_sentence(body: str) -> str:
    """The first sentence of `body` on one line, cut where it is long."""
    sentence = _SENTENCE.split(one_line(body), maxsplit=1)[0]
    return sentence if len(sentence) <= SUMMARY_CHARS else f"{sentence[: SUMMARY_CHARS - 1]}…"


def one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("<entry", "&lt;entry").replace("</entry", "&lt;/entry")
