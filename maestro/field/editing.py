"""What the verbs do: commands change the edits, and edits change what is read of a field.

Invariants: pure; either all commands of a line count or, with an error, none; every edit is undone by `restore`; with
no edits, `overridden` gives back what it was given.
What is not here: the grammar (`grammar`), where edits are kept (the checkpoint).

Source: spec/03 section 7.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import assert_never

from maestro.continuation.edits import MAX_EDITS, MAX_PINS, Edit, Edits
from maestro.errors import InvalidInput, UnknownEntryError
from maestro.field.decay import EVICT_FLOOR, half_life_ms, rank_key, weight
from maestro.field.entry import Entry, EntryState
from maestro.field.grammar import Command, Verb
from maestro.field.project import Weighed
from maestro.field.views import View, sections
from maestro.ids import EntryId, TimeMs

MAX_FOUND = 20
_UNTOUCHED = Edit()


@dataclass(frozen=True, slots=True)
class Reading:
    """A field as its edits show it: what may be read, heaviest first, and per source how many are hidden."""

    shown: tuple[Weighed, ...]
    hidden: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that was searched for, and where it was."""

    id: EntryId
    title: str
    where: str
    """`hidden`, `removed`, `faded` or `shown`."""


def edited(edits: Edits, commands: Sequence[Command], kept: Sequence[Weighed], now_ms: TimeMs) -> dict[EntryId, Edit]:
    """The edits after `commands`.

    Args:
        kept: all that the field holds, hidden and faded ones too.

    Raises:
        UnknownEntryError: a command names what the field does not hold; names what comes nearest.
        InvalidInput: more edits or pins than one continuation may have.
    """
    entries = _entries(edits, kept)
    places = {section.id: entry.id for entry in entries.values() for section in sections(entry)}
    after = dict(edits)
    for command in commands:
        if command.id is None:
            continue
        if command.id not in entries and command.id not in places:
            raise _unknown(command.id, [*entries, *places])
        before = after.get(command.id, _UNTOUCHED)
        changed = _after(before, command, entries.get(command.id), now_ms)
        if command.id not in entries:
            changed = changed.model_copy(update={"within": places[command.id]})
        after.pop(command.id, None)
        if changed.model_copy(update={"within": None}) != _UNTOUCHED:
            after[command.id] = changed
    _check_room(after)
    return after


def _after(before: Edit, command: Command, entry: Entry | None, now_ms: TimeMs) -> Edit:
    match command.verb:
        case Verb.PIN:
            if entry is None:
                raise InvalidInput(f"{command.id} is a section", field="commands", hint="pin the entry that it is in")
            return before.model_copy(update={"pinned": True, "kept": entry.model_dump(mode="json"), "gone": None})
        case Verb.UNPIN:
            return before.model_copy(update={"pinned": False, "kept": None})
        case Verb.COLLAPSE:
            return before.model_copy(update={"view": "summary"})
        case Verb.EXPAND:
            used = {"reinforcements": before.reinforcements + 1, "reinforced_at_ms": now_ms}
            return before.model_copy(update={"view": None, "gone": None, **used})
        case Verb.SHOW:
            return before.model_copy(update={"view": "outline", "levels": command.levels, "gone": None})
        case Verb.HIDE:
            return before.model_copy(update={"gone": "hidden"})
        case Verb.REMOVE:
            return before.model_copy(update={"gone": "removed"})
        case Verb.RESTORE:
            return _UNTOUCHED
        case Verb.FIND:
            return before
        case _:
            assert_never(command.verb)


def overridden(kept: Sequence[Weighed], edits: Edits, now_ms: TimeMs) -> Reading:
    """The field as `edits` show it: pinned entries first, the oldest first, then the rest, heaviest first."""
    if not edits:
        return Reading(tuple(kept), {})
    hidden: Counter[str] = Counter()
    pinned: list[Weighed] = []
    ranked: list[Weighed] = []
    for weighed in _with_pins(kept, edits):
        edit = edits.get(weighed.entry.id, _UNTOUCHED)
        if edit.gone is not None:
            hidden[weighed.entry.source] += edit.gone == "hidden"
        else:
            (pinned if edit.pinned else ranked).append(_edited(weighed, edit, edits, now_ms))
    pinned.sort(key=lambda it: (it.entry.created_at_ms, it.entry.id))
    ranked.sort(key=lambda it: -it.weight)  # stable: only what was reinforced changes its place
    return Reading((*pinned, *ranked), {source: count for source, count in hidden.items() if count})


def _edited(weighed: Weighed, edit: Edit, edits: Edits, now_ms: TimeMs) -> Weighed:
    entry = weighed.entry
    heavy = weighed.weight
    if edit.reinforced_at_ms is not None:
        half_life = half_life_ms(entry.kind)
        count, last = (
            entry.reinforcements + edit.reinforcements,
            max(entry.last_reinforced_at_ms, edit.reinforced_at_ms),
        )
        entry = entry.model_copy(update={"reinforcements": count, "last_reinforced_at_ms": last})
        heavy = weight(rank_key(entry.score, count, last, half_life), half_life, now_ms)
    if edit.pinned:
        entry, heavy = entry.model_copy(update={"state": EntryState.PINNED}), math.inf
    inside = {name: _section_view(it) for name, it in edits.items() if it.within == entry.id}
    view = View(edit.view) if edit.view else weighed.view
    return replace(weighed, entry=entry, weight=heavy, view=view, levels=edit.levels, inside=inside)


def _section_view(edit: Edit) -> View | None:
    """How much of a section is shown; None for nothing."""
    if edit.gone is not None:
        return None
    return View(edit.view) if edit.view else View.FULL


def found(text: str, kept: Sequence[Weighed], edits: Edits) -> list[Found]:
    """The entries with every word of `text` in title or body: hidden, removed and faded ones first."""
    asked = text.lower().split()
    hits = [it for it in _with_pins(kept, edits) if all(word in _text(it.entry) for word in asked)]
    rows = [Found(it.entry.id, it.entry.title, _where(it, edits.get(it.entry.id, _UNTOUCHED))) for it in hits]
    return sorted(rows, key=lambda row: row.where == "shown")[:MAX_FOUND]


def _where(weighed: Weighed, edit: Edit) -> str:
    if edit.gone is not None:
        return edit.gone
    return "shown" if edit.pinned or weighed.weight >= EVICT_FLOOR else "faded"


def _text(entry: Entry) -> str:
    return f"{entry.title} {entry.body}".lower()


def _with_pins(kept: Sequence[Weighed], edits: Edits) -> Iterator[Weighed]:
    """All that is kept, and what was pinned and has left since."""
    there = {it.entry.id for it in kept}
    yield from kept
    for name, edit in edits.items():
        if name not in there and edit.pinned:
            yield Weighed(Entry.model_validate(edit.kept), 0.0)


def _entries(edits: Edits, kept: Sequence[Weighed]) -> dict[EntryId, Entry]:
    return {it.entry.id: it.entry for it in _with_pins(kept, edits)}


def _unknown(name: EntryId, known: Sequence[str]) -> UnknownEntryError:
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else "see `maestro field ID`"
    return UnknownEntryError(f"the field holds no {name}", field="commands", hint=hint, id=name, nearest=near)


def _check_room(edits: Edits) -> None:
    pins = sum(edit.pinned for edit in edits.values())
    for count, most, what in ((len(edits), MAX_EDITS, "edits"), (pins, MAX_PINS, "pins")):
        if count > most:
            raise InvalidInput(f"{count} {what}, at most {most} are kept", field="commands", hint="restore some first")
