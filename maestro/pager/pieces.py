"""A streamed answer as it lies in the store while it is being written: pieces in their order, and what made them void.

    begin(1) add add  begin(2): a reset  add add ...     the answer is journaled: all are gone

Invariants: pieces are numbered from 1, per call and for ever; those of one edition begin one answer, word for word;
only the newest edition grows, and whoever writes an older one is refused; nothing is written for a call that is
answered, or that nobody waits for any more. So many and so much are kept at most, the newest: see PIECES_KEPT.

What is not here: who writes them (`maestro.pager.telling`) and who reads them (`maestro.runtime.hearing`).

Source: spec/05 sections 5 and 7; docs/decisions/0031.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.ids import CallId, ContinuationId

PIECES_KEPT = 1_024
PIECE_BYTES_KEPT = 262_144
"""Of one call; an answer has seldom a tenth of it. What is older is gone, and the whole answer has it."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Which answer is written: a call, at its place in the journal of its tick."""

    cid: ContinuationId
    ordinal: int
    call_id: CallId


@dataclass(frozen=True, slots=True)
class Kept:
    """One piece; with `because`, it has no text, and all text before it is void."""

    number: int
    edition: int
    at: int
    """How many characters of its edition come before it."""
    text: str = ""
    because: str | None = None


class Pieces(Protocol):
    """Where answers are told in pieces while they are written."""

    async def begin(self, writing: Writing, because: str) -> int:
        """A new edition of the answer begins, and its number, from 1; 0 where nobody waits for that call any more.

        Where a text stands already it is void, which a reset says, with why.
        """
        ...

    async def add(self, writing: Writing, edition: int, texts: Sequence[str]) -> bool:
        """More of the text; False where that edition is not the newest, or the call is over, and nothing changed."""
        ...

    async def read(self, cid: ContinuationId, call_id: CallId, after: int = 0, limit: int = 256) -> Sequence[Kept]:
        """The oldest pieces behind number `after` that are kept; the first may be younger than `after` + 1."""
        ...
