"""The port to the journal as those see it who answer effects: a tool worker, a pager, a provider that bills late.

Not here: how a tick journals (`maestro.tick.journal`), and the intent itself, which the store records under an epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.ids import CallId, ContinuationId
from maestro.tick.store import JournalEntry

About = Mapping[str, JsonValue]
"""What the fact of a charge tells beside the amounts."""
NOTHING_MORE: About = {}


class Journals(Protocol):
    """The journal as those see it who answer effects: by call id, without an epoch.

    An answer is worth keeping whoever holds the continuation when it comes.
    """

    async def settle(
        self,
        cid: ContinuationId,
        ordinal: int,
        call_id: CallId,
        answer: JsonValue,
        failed: bool,
        charge: BudgetVector,
        about: About = NOTHING_MORE,
    ) -> JournalEntry | None:
        """The effect has its outcome and its reservation is settled with `charge`; returns the entry as it now stands.

        The first good answer stays; repeated, nothing changes. A failure may be followed by an answer, never the other
        way round. None when the journal has moved on: a reservation still open under that call is settled all the same,
        and what a commit charged in full is charged as `refund` does.

        Args:
            about: what the fact of this charge tells beside the amounts, such as tier and tokens.

        Raises:
            ContinuationNotFoundError: nobody has that id.
        """
        ...

    async def refund(self, cid: ContinuationId, call_id: CallId, actual: BudgetVector) -> bool:
        """A call that a commit charged in full, because nobody knew what it cost, costs `actual`.

        Once per call; False, and nothing changes, where no such charge stands. What is free again is told to whoever
        waits for money, and goes to the parent of one that has ended.

        Raises:
            ContinuationNotFoundError: nobody has that id.
            ContinuationMovedError: it lives in another store, and its books with it.
        """
        ...

    async def answer_of(self, cid: ContinuationId, call_id: CallId) -> JournalEntry | None:
        """The entry of that call, answered or not; None when the journal has none or has moved on."""
        ...

    async def entries(self, cid: ContinuationId) -> Sequence[JournalEntry]:
        """The journal of the open tick, in order; empty between ticks."""
        ...
