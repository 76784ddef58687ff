"""Artifacts: what a tool returned that is too large to be read as a whole, or is no JSON, kept under its SHA-256.

An artifact is a block (maestro.continuation.blocks) of exactly its bytes, so its id says what is in it; the journal and
the log hold this description of it. Whoever reads it gets the bytes that were written, or an IntegrityError.
Invariants: the id is the name of the block; what a tool calls a thing is only shown, never the name of anything.

Source: spec/04 section 10 (A-55, X-15); PROMISES P16, B62, B69.
"""

import re
from collections.abc import Iterable
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from maestro.continuation import remembered
from maestro.continuation.blocks import Fetch, name_of
from maestro.continuation.checkpoint import EffectNote
from maestro.errors import IntegrityError

ARTIFACT_BYTES = 8 * 1024  # of JSON; what is smaller is read as it is
MAX_ARTIFACT_BYTES = 4 << 20
EXCERPT_CHARS = 600
JSON, TEXT, BINARY = "application/json", "text/plain", "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class Artifact(BaseModel):
    """What is known of one; its bytes are the block `id`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tool: str
    media_type: str
    size_bytes: int
    taint: Literal["trusted", "untrusted"]
    excerpt: str = ""
    """Its beginning, where it is text."""
    name: str | None = None
    """What its tool calls it, made harmless; for people to read."""

    @property
    def body(self) -> JsonValue:
        """The ref to its bytes."""
        return {"block": self.id}

    @property
    def brief(self) -> dict[str, JsonValue]:
        """What a model is told in its place."""
        told: dict[str, JsonValue] = {"artifact": self.id, "media_type": self.media_type, "size_bytes": self.size_bytes}
        return {**told, "excerpt": self.excerpt, "excerpt_is_all": self.size_bytes <= len(self.excerpt.encode())}


def artifact_of(body: bytes, tool: str, media_type: str, taint: str, name: str | None = None) -> Artifact:
    """The description of `body`."""
    sort = media_type.partition(";")[0].strip().lower()
    sort = sort if _MEDIA_TYPE.fullmatch(sort) else BINARY
    is_text = sort == JSON or sort.startswith("text/")
    excerpt = body[: 4 * EXCERPT_CHARS].decode("utf-8", "ignore")[:EXCERPT_CHARS] if is_text else ""
    return Artifact(
        id=name_of(body),
        tool=tool,
        media_type=sort,
        size_bytes=len(body),
        taint="trusted" if taint == "trusted" else "untrusted",
        excerpt=excerpt.replace("\x00", ""),
        name=None if name is None else _harmless(name),
    )


def artifact_in(answer: JsonValue) -> Artifact | None:
    """The artifact that a journaled outcome, or what the log shows of it, stands for; None where it is none."""
    told = answer.get("artifact") if isinstance(answer, dict) else None
    if told is None:
        return None
    try:
        return Artifact.model_validate(told)
    except ValidationError:  # a tool's own result never stands at this place; what does not fit is none of ours
        return None


def artifacts_in(notes: Iterable[EffectNote]) -> list[Artifact]:
    """Those that the effects of a tick made, in their order."""
    return [artifact for note in notes if (artifact := artifact_in(note.detail)) is not None]


def refs_in(told: JsonValue) -> list[JsonValue]:
    """The blocks that a journaled outcome, or what the log shows of it, needs beside the ref of its answer."""
    artifact = artifact_in(told)
    return [*remembered.refs_in(told), *([] if artifact is None else [artifact.body])]


async def bytes_of(artifact_id: str, fetch: Fetch) -> bytes:
    """What the artifact holds.

    Raises:
        IntegrityError: it is missing, or was changed after it was written.
    """
    found = (await fetch([artifact_id])).get(artifact_id)
    if found is None:
        raise IntegrityError(f"artifact {artifact_id} is missing", hint="restore it from an export")
    if name_of(found) != artifact_id:
        told = f"artifact {artifact_id} was changed after it was written"
        raise IntegrityError(told, hint="restore it from an export")
    return found


async def value_of(artifact: Artifact, fetch: Fetch) -> JsonValue:
    """What a behaviour gets of it: JSON and text as they were returned; of anything else, the description."""
    body = await bytes_of(artifact.id, fetch)
    if artifact.media_type == JSON and artifact.name is None:
        told: JsonValue = orjson.loads(body)
        return told
    if artifact.media_type.startswith("text/"):
        return body.decode("utf-8", "replace")
    described: JsonValue = artifact.model_dump(mode="json")
    return described


def _harmless(name: str) -> str | None:
    """A name without a path, control characters or a leading dot; None where nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    return _UNFIT.sub("_", last).strip("._")[:64] or None
