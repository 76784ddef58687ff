"""What a holder says of itself when it adopts, so that the next event of a continuation meets the process it was in.

A continuation between two ticks has no process; but the one that it was in may keep its checkpoint for a while. It says
so with each adoption: what it has is not read and shipped again, and an event rouses it by its own name before others.

Invariant: none of it is truth. What is kept is good only under the epoch of the commit that wrote it, which the store
compares; whoever comes first may adopt, and fencing is what it was.
Not here: what is kept and for how long (`maestro.runtime.residents`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from maestro.ids import ContinuationId, Epoch, HolderId


@dataclass(frozen=True, slots=True)
class Linger:
    """Said with one adoption."""

    known: Mapping[ContinuationId, Epoch]
    """Those whose checkpoint the holder has, each with the epoch of the commit that wrote it.

    One of them is adopted with an empty checkpoint, if that commit is still its last.
    """
    listens_ms: int = 0
    """How long the holder listens to its own name from now on, unless it has no room; 0: it never does."""
    room: bool = False
    """True when it can take another beside what it adopts now."""


def own_name(holder: HolderId) -> str:
    """The name that a process listens to, whatever name its lease runs under."""
    return holder.partition("~")[0]
