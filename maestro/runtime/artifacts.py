"""The artifacts of a continuation, as its log tells of them: what its tools returned that is kept by its hash.

Invariant: what is given out is what was written, or an IntegrityError.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue

from maestro.continuation.artifact import Artifact, artifact_in, bytes_of
from maestro.errors import InvalidInput, NotFound
from maestro.ids import ContinuationId, Partition, Rev
from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Installation, records
from maestro.tools.room import RoomUse


@dataclass(frozen=True, slots=True)
class Found:
    """One artifact where it was made."""

    artifact: Artifact
    continuation: ContinuationId
    rev: Rev
    """Of the tick whose tool returned it."""
    ordinal: int

    def told(self) -> dict[str, JsonValue]:
        described = self.artifact.model_dump(mode="json")
        return {**described, "continuation": self.continuation, "rev": self.rev, "ordinal": self.ordinal}


async def room_used(backend: Backend) -> RoomUse:
    """What its tenant keeps of artifacts."""
    partitions = map(Partition, range(backend.partitions))
    return sum(await asyncio.gather(*map(backend.room.used, partitions)), start=RoomUse())


async def artifacts(at: Installation, cid: ContinuationId) -> list[Found]:
    """All of its log, the oldest first; the same content twice is there twice.

    Raises:
        ContinuationNotFoundError: nobody has that id.
    """
    return [
        Found(artifact, cid, record.rev, note.ordinal)
        for record in await records(at, cid)
        for note in record.effects
        if (artifact := artifact_in(note.detail)) is not None
    ]


def by_id(found: list[Found]) -> Mapping[str, Found]:
    """Each content once, where it was made first."""
    return {each.artifact.id: each for each in reversed(found)}


async def content(at: Installation, cid: ContinuationId, prefix: str) -> tuple[Found, bytes]:
    """The one artifact of `cid` whose id begins so, and its bytes.

    Raises:
        NotFound: it has none. InvalidInput: it has several.
        IntegrityError: the bytes are not those that were written.
    """
    known = by_id(await artifacts(at, cid))
    meant = [each for name, each in known.items() if name.startswith(prefix.lower())]
    if not meant:
        raise NotFound(f"{cid} has no artifact {prefix[:64]!r}", hint=f"see `maestro artifacts {cid}`")
    if len(meant) > 1:
        told = f"{len(meant)} artifacts begin with {prefix[:64]!r}"
        raise InvalidInput(told, field="artifact", hint="give more of it")
    return meant[0], await bytes_of(meant[0].artifact.id, partial(at.backend.blocks.get, cid))
