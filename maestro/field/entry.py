"""One entry of a context field: something a continuation may know, with where it came from.

Invariants: an id is a function of (source, key), so the same thing read twice is the same entry; an entry never
changes, a reinforced one is a new value. What is not here: how entries rank (`decay`) and how they change (`project`).

Source: spec/03 section 2; PROMISES B75 (taint).
"""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from maestro.errors import InvalidInput
from maestro.ids import ALPHABET, ContinuationId, EntryId, EventId, TimeMs

MAX_TITLE_CHARS = 500
MAX_BODY_CHARS = 50_000
ID_CHARS = 10  # 50 bits: two of a million entries of one field share an id with a chance of 1 in 2,000


class SourceKind(StrEnum):
    """What sort of source an entry comes from; it decides how fast the entry fades."""

    FEED = "feed"
    EVENT = "event"
    FINDING = "finding"
    MAIL = "mail"
    CONVERSATION = "conversation"
    TOOL = "tool"
    FILE = "file"
    MEMORY = "memory"
    ROLLING = "rolling"
    """The newest value of something that changes: a clock, a gauge; it takes the place of the one before."""


class EntryState(StrEnum):
    SHOWN = "shown"
    PINNED = "pinned"
    HIDDEN = "hidden"
    EVICTED = "evicted"
    """Faded below the floor: gone from the field, still in its source; new evidence brings it back."""


class Provenance(BaseModel):
    """Where an entry came from, as far as it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: EventId | None = None
    subject: str | None = None
    continuation: ContinuationId | None = None
    tool: str | None = None
    found: Literal["near", "linked"] | None = None
    """How it came into the field, where nobody had asked for it: near the goal, or linked to what is there."""
    via: str | None = Field(default=None, exclude_if=lambda via: via is None)
    """By what it is linked (`graph`); left out where nothing is, so that a release that knows none reads it too."""


class Entry(BaseModel):
    """What the field holds of one thing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: Annotated[EntryId, Field(pattern=rf"^#[{ALPHABET}]{{{ID_CHARS}}}$")]
    source: Annotated[str, Field(min_length=1, max_length=200)]
    kind: SourceKind
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)]
    body: Annotated[str, Field(max_length=MAX_BODY_CHARS)] = ""
    created_at_ms: Annotated[TimeMs, Field(ge=0)]
    last_reinforced_at_ms: Annotated[TimeMs, Field(ge=0)]
    reinforcements: Annotated[int, Field(ge=0)] = 0
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """Of the last ranking against the goal; time and use are not in it."""
    degraded: bool = False
    """The score is not the engine's: it was away when the entry was ranked (`steady`)."""
    state: EntryState = EntryState.SHOWN
    provenance: Provenance = Provenance()
    links: tuple[str, ...] = ()
    supersedes: EntryId | None = None
    """The entry that this one corrects or takes the place of."""
    sketch: tuple[int, ...] = ()
    """Of its text, by which near-duplicates are known (`likeness`)."""
    taint: Literal["trusted", "untrusted"] = "untrusted"
    """Whatever came from outside is untrusted: no tool with side effects acts on it alone."""

    @field_validator("title")
    @classmethod
    def _check_title(cls, title: str) -> str:
        if not title.strip():
            raise InvalidInput("title is empty", field="title", hint="an entry is shown by its title, give it one")
        return title


def entry_id(source: str, key: str) -> EntryId:
    """The id of what `source` calls `key`: the same in every field, process and re-read.

    >>> entry_id("arxiv.cs.AI", "2407.10583") == entry_id("arxiv.cs.AI", "2407.10583")
    True
    """
    digest = hashlib.sha256(f"{len(source)}:{source}{key}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    return EntryId("#" + "".join(ALPHABET[(number >> 5 * place) & 31] for place in range(ID_CHARS)))
