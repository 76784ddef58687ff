"""Model calls that nobody waits for with a process: placed in the store, taken by a pager, answered into the journal.

    placed --take--> taken --(answered, settled, its continuation told)--> done
                       ^ a pager that begins takes over what its predecessor had taken

Invariants: a placed call is in the store until it is done, whatever process ends; the same call id is placed once;
nobody takes a call before it is due, and one that is taken is taken by nobody else, but for a successor.

What is not here: who carries it out (`maestro.runtime.placing`), and the wait for its answer (`maestro.tick.placing`).

Source: spec/05 sections 2 and 5, modes async and batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.ids import CallId, ContinuationId, Partition, TimeMs

ANSWERED = "model_call"
"""Subject of the mail that tells of an answer; one that nobody waits for is not heard."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One call that waits for its answer."""

    call_id: CallId
    cid: ContinuationId
    due_ms: TimeMs
    """Nobody takes it earlier: a batch is collected until then."""
    until_ms: TimeMs
    """Nobody asks a provider later; whoever waits for it is told that it is lost."""
    request: str
    """JSON of its ModelRequest."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one look at the placed calls gave."""

    calls: tuple[Placed, ...]
    now_ms: TimeMs
    next_due_ms: TimeMs | None
    """When the next one may be taken; it may be due already, where the limit was reached."""


class Placements(Protocol):
    """Where placed calls are, on the store's clock."""

    async def place(self, placed: Placed) -> bool:
        """The call is there, to be taken when it is due; False where it was there already: its times are the new ones.

        In whose hands it is does not change.
        """
        ...

    async def take(self, partition: Partition, limit: int, inherit: bool = False) -> Taken:
        """At most `limit` due calls, those due for longest first, are in the caller's hands.

        Args:
            inherit: what was taken before, by whomever, is there to be taken again.
        """
        ...

    async def done(self, placed: Sequence[Placed]) -> None:
        """These calls are there no more; repeated, it changes nothing."""
        ...
