"""A request as it is sent, and the account of it: what it is made of, piece by piece, and why each piece is there.

Invariants: a request *is* the concatenation of its parts, so that every byte of it belongs to exactly one span of its
manifest; a span names its part by SHA-256, and whoever has the parts can put the request together again.
What is not here: choosing what goes in (`compose`), and how a part is written (`layout`).

Source: spec/03 sections 2 and 12.5; spec/00 P-01.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict

from maestro.errors import IntegrityError
from maestro.field.views import View
from maestro.ids import EntryId

BYTES_PER_TOKEN = 3  # English prose has four or more, code and other scripts about three: the estimate errs upwards
MESSAGE_TOKENS = 8  # what a provider's chat format adds around one message


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Shape):
    """One message in the shape that OpenAI-like providers take."""

    role: Literal["user", "assistant", "tool"]
    content: str


class ManifestLine(_Shape):
    """One entry that went into a call, how much of it, and why."""

    id: EntryId
    view: View
    tokens: int
    reason: str


class Span(_Shape):
    """A run of bytes of the request: where it stands follows from those before it."""

    message: int
    """0 for the system text, 1 for the first message."""
    what: str
    """`goal`, `heading`, `entry`, `hidden`, `digest`, `break` or `question`."""
    id: EntryId | None = None
    """Of the entry that it is."""
    bytes: int
    hash: str
    """SHA-256 of the bytes."""


class Freshness(_Shape):
    """How far the field had come when the call was composed: events are counted in its partition."""

    told: int
    complete: int
    """All that was told up to this event and asked for has its place in the field."""
    waited_ms: int = 0
    """How long the oldest of what was not there yet had waited."""
    looked: int | None = None
    """Events that it was looked through for what is near the goal; None where nobody looked."""
    stale: bool = False


class Manifest(_Shape):
    """What of the field one call saw, in order; kept with the call."""

    schema_version: Literal[1] = 1
    goal_version: int
    lines: tuple[ManifestLine, ...]
    spans: tuple[Span, ...] = ()
    """Of the whole request, in its order; empty for calls made before they were kept."""
    tokens: int
    """Estimate of the whole request, system included."""
    left_out: int
    """Entries that were offered and had no room."""
    content_hash: str
    """sha256 of system and messages."""
    answer_schema_hash: str | None = None
    """sha256 of the JSON schema, keys sorted, that the answer has to fit."""
    freshness: Freshness | None = None
    """None in calls made before it was kept."""

    @property
    def hash(self) -> str:
        """sha256 of this manifest; two calls with the same hash saw the same text."""
        told = self.model_dump(mode="json", exclude={"freshness"} if self.freshness is None else None)
        return sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS))


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text of a request, and what it is."""

    what: str
    text: str
    id: EntryId | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """One request, ready for the pager, and its account."""

    messages: tuple[Message, ...]
    system: str
    manifest: Manifest


def spans_of(system: Sequence[Part], messages: Sequence[Sequence[Part]]) -> tuple[Span, ...]:
    """The spans of a request that these parts make."""
    return tuple(
        Span(message=at, what=part.what, id=part.id, bytes=len(part.text.encode()), hash=sha256(part.text.encode()))
        for at, parts in enumerate((system, *messages))
        for part in parts
    )


def rebuilt(spans: Sequence[Span], parts: Mapping[str, bytes]) -> list[str]:
    """System and messages of the request, put together from `parts` (SHA-256 -> bytes) alone.

    Raises:
        IntegrityError: a part is missing, or is not what its span says.
    """
    texts: list[list[bytes]] = [[] for _ in range(1 + max((span.message for span in spans), default=-1))]
    for span in spans:
        part = parts.get(span.hash)
        if part is None or sha256(part) != span.hash or len(part) != span.bytes:
            raise IntegrityError(f"the {span.what} of message {span.message} is missing or changed")
        texts[span.message].append(part)
    return [b"".join(text).decode() for text in texts]


def cut(texts: Sequence[str], spans: Sequence[Span]) -> list[list[str]]:
    """System and messages, each cut where its spans meet.

    Raises:
        IntegrityError: the spans do not account for every byte, or not as these texts have it.
    """
    pieces: list[list[str]] = [[] for _ in texts]
    left = [text.encode() for text in texts]
    for span in spans:
        piece, left[span.message] = left[span.message][: span.bytes], left[span.message][span.bytes :]
        if sha256(piece) != span.hash:
            raise IntegrityError(f"the {span.what} of message {span.message} is not as the manifest has it")
        pieces[span.message].append(piece.decode())
    if any(left):
        raise IntegrityError(f"{sum(map(len, left))} bytes of the request are in no span of its manifest")
    return pieces


def estimate_tokens(text: str) -> int:
    """At least as many tokens as any tokenizer in use makes of `text`, as a rule: bytes over three, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
