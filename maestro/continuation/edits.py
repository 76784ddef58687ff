"""Edits of a context: what somebody decided about how an entry is shown. Lasting, reversible, part of the checkpoint.

Invariants: an edit never changes an entry, only what of it is read; without any, the field shows what ranks.
What is not here: the verbs (`maestro.field.grammar`) and what they do (`maestro.field.editing`).

Source: spec/03 section 7.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.ids import EntryId, TimeMs

MAX_EDITS = 500  # of one continuation; an edit is for what ranks wrongly, and most does not
MAX_PINS = 32  # a pinned entry is kept with its text, and goes into every call


class Edit(BaseModel):
    """All that was decided about one entry, or about one section of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pinned: bool = False
    kept: JsonValue = None
    """The entry as it was when it was pinned: it is shown though it fades from its source."""
    view: Literal["summary", "outline", "title"] | None = None
    """The most of it that is shown."""
    levels: Annotated[int, Field(ge=1, le=6)] = 6
    """Of headings, in an outline."""
    gone: Literal["hidden", "removed"] | None = None
    """Out of the prompt: hidden ones leave their number there, removed ones nothing."""
    within: EntryId | None = None
    """Of a section: the entry that it is in."""
    reinforcements: Annotated[int, Field(ge=0)] = 0
    reinforced_at_ms: TimeMs | None = None


Edits = Mapping[EntryId, Edit]


def changes(before: Edits, after: Edits) -> dict[EntryId, Edit | None]:
    """What leads from `before` to `after`: the new value of each that differs, None for one that is no more."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: after.get(name) for name in names}


def changed(before: Edits, by: Mapping[EntryId, Edit | None]) -> dict[EntryId, Edit]:
    """The edits after these changes."""
    return {name: edit for name, edit in {**before, **by}.items() if edit is not None}
