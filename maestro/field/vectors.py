"""The port to sets of vectors: what is near a vector, by cosine; and where they are kept.

Invariants: vectors are L2-normalised (or zero) and of one number of dimensions; what was dropped is in no later answer
and in no later dump, physically.
What is not here: texts, who made the vectors, and whose they are (`index`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from maestro.field.embedding import Vector
from maestro.ids import EntryId


class Header(BaseModel):
    """What made the vectors of an index; vectors of two headers are never compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dims: Annotated[int, Field(ge=1, le=65_536)]
    metric: Literal["cosine"] = "cosine"
    version: Annotated[int, Field(ge=1)] = 1
    """Rises with each swap."""


class Place(NamedTuple):
    """Where in the log the text of a vector stands, and whose affair it is."""

    id: EntryId
    scope: str
    """The root of the family that may see it; empty for everybody."""
    partition: int
    position: str


class Kept(BaseModel):
    """All that an index knows beside its vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    header: Header
    following: int
    """The number that the next vector gets; numbers only rise."""
    reached: Mapping[int, str]
    """Partition -> up to which event its log was read."""
    places: Mapping[int, Place]


class IndexTold(BaseModel):
    """What an index says of itself, for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: Header
    texts: int
    size_bytes: int
    """Of the vectors, in memory and on disk."""
    reached: Mapping[int, str]
    """Partition -> up to which event its log was read."""
    coming: Header | None = None
    """Of the vectors that are being made in place of these."""


class Vectors(Protocol):
    """One set."""

    def put(self, numbers: Sequence[int], vectors: Sequence[Vector]) -> None:
        """These are in it, each under its number, in place of what was there under the same."""
        ...

    def drop(self, numbers: Sequence[int]) -> int:
        """None of these is in it; returns how many were."""
        ...

    def near(self, wanted: Vector, n: int) -> list[tuple[int, float]]:
        """(number, cosine) of the `n` nearest, nearest first; of two that are as near, the older first."""
        ...

    def dump(self) -> bytes:
        """All of it."""
        ...

    def __len__(self) -> int: ...


class Stock(Protocol):
    """Where one index is kept between two processes."""

    def new(self, dims: int) -> Vectors:
        """An empty set, kept nowhere yet."""
        ...

    def write(self, kept: Kept, dump: bytes) -> None:
        """These are what `read` gives from now on, whole; nothing of what was before is left."""
        ...

    def read(self) -> tuple[Kept, Vectors] | None:
        """What was written last; None where nothing was, or it is not whole any more."""
        ...
