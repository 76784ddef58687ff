"""The port through which continuations leave one store and enter another.

A family (a root and all that descends from it) goes in one piece, because its money is one account. Departing is one
atomic step: everybody is fenced, taken out of every list that could wake it, and marked with where it went, for ever.
What is packed after that never changes, so an export may be repeated. Its interests stay behind: an event that matches
one of them is a dead letter with the cause `moved`. Arriving is one atomic step too, and counted by
the export's id: the same pack twice is one arrival. Between the two nobody runs it, and nothing of it is anywhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from maestro.ids import ContinuationId, Epoch, Rev, TimeMs


@dataclass(frozen=True, slots=True)
class Member:
    """One of the family as its checkpoint told of it: the step finds out whether that still holds."""

    cid: ContinuationId
    rev: Rev
    timers: tuple[str, ...]
    interests: tuple[tuple[str, str], ...]
    """(pattern, interest id)"""


@dataclass(frozen=True, slots=True)
class Packed:
    """All that a store keeps of one continuation, but for its blocks."""

    cid: ContinuationId
    name: str | None
    epoch: Epoch
    rev: Rev
    checkpoint: bytes
    log: tuple[tuple[TimeMs, bytes], ...]
    rest: JsonValue
    """Mail, journal, ledger, timers, interests, field and the rest, as stores of its kind read it."""


@dataclass(frozen=True, slots=True)
class Departed:
    """A family as it left, or as it stands where nothing leaves."""

    kind: str
    """Of the store; only such a one can take it in."""
    at_ms: TimeMs
    packed: tuple[Packed, ...]


class Moves(Protocol):
    """Leaving and entering a store."""

    async def depart(self, family: Sequence[Member], export_id: str | None, to: str) -> Departed | None:
        """The family has left for `to` under `export_id`; None when it is not as `family` says any more.

        The same export again gives the same. Without an id nothing changes: it is a copy of one moment.

        Raises:
            ContinuationNotFoundError: somebody of it is not there.
            ContinuationMovedError: it left under another id.
            Conflict: the first of it is somebody's child.
        """
        ...

    async def arrive(self, family: Departed, export_id: str) -> bool:
        """The family lives here, under epochs above those that it left with; False when it arrived before.

        Raises:
            Conflict: another life of it is here, or its name belongs to somebody.
            InvalidInput: it comes from another kind of store, or there is no such partition here.
        """
        ...
