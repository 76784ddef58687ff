"""Where records live: a store of Maestro, seen record by record. Not a second format: a record is a checkpoint.

Invariants: `put` makes a record that is new, in the engine's own birth and first tick; one that is there is changed by
ticks only, so that no write goes past epoch, log and seal (docs/decisions/0015-turns-are-continuations.md).
"""

import secrets
from dataclasses import replace

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.memory.clock import ReadableClock
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, check_continuation_id, partition_of
from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Installation, partitions
from maestro.tick.birth import born
from maestro.tick.records import Glance
from maestro.turns.hands import NOTHING, Hands
from maestro.turns.records import ContinuationRecord
from maestro.turns.state import turn_state
from maestro.turns.views import opened, record_of

FIRST_LEASE_MS, FIRST_TICK_MS = 10_000, 10_000  # of the tick that opens the first wait: it runs no harness
PAGE = 500  # continuations looked at in one step of a listing


class ContinuationStore:
    """The records of one installation. Any backend that keeps Maestro's store contract will do."""

    def __init__(self, at: Installation) -> None:
        self.at = at
        self._hands = Hands(at, FIRST_LEASE_MS, FIRST_TICK_MS)

    async def put(self, first: Checkpoint, supersedes: Mail | None = None) -> bool:
        """The record exists and waits; False when it did already.

        Args:
            first: the checkpoint that it is born with; its input is a TurnBirth.
            supersedes: the order to end for whoever has its name.

        Raises:
            Conflict: a living one has its name, and nothing supersedes it.
        """
        birth = replace(born(first, NOTHING, self.at.seal), supersedes=supersedes)
        new = await self.at.backend.store.create(birth)
        await self.begin(first.id)
        return new

    async def begin(self, cid: ContinuationId) -> None:
        """A record that was born has its first wait, whoever died in between."""
        claim = await self._hands.claim(cid)
        if claim is None:
            return
        if self._hands.checkpoint(claim).wait is None:
            await self._hands.carry(claim)
        else:
            await self._hands.put_back(claim)

    async def get(self, continuation_id: str) -> ContinuationRecord | None:
        """The record, or None."""
        found = await self.look(continuation_id)
        return None if found is None else record_of(*found)

    async def look(self, continuation_id: str) -> tuple[Glance, Checkpoint] | None:
        """One look at a continuation, opened and checked."""
        try:
            cid = check_continuation_id(continuation_id)
        except InvalidInput:
            return None
        if int(partition_of(cid)) >= self.at.backend.partitions:
            return None
        glance = await self.at.backend.records.glance(cid)
        return None if glance is None else (glance, opened(glance, self.at.seal, self.at.tenant))

    async def list_by_session(self, session_id: str) -> list[ContinuationRecord]:
        """The living records of a session, oldest first. Looks at every living continuation: not for hot paths."""
        found: list[ContinuationRecord] = []
        for cid in await self._of_session(session_id):
            record = await self.get(cid)
            if record is not None and record.stop_reason is None:
                found.append(record)
        return sorted(found, key=lambda record: record.id)

    async def _of_session(self, session_id: str) -> list[ContinuationId]:
        seal, tenant, found = self.at.seal, self.at.tenant, list[ContinuationId]()
        for partition in partitions(self.at):
            first = 0
            while (page := await self.at.backend.records.living(partition, first, PAGE)).looked_at:
                first += page.looked_at
                for cid, sealed in page.checkpoints:
                    body = seal.open(sealed, "checkpoint", cid, tenant).body
                    turn = turn_state(Checkpoint.model_validate_json(body))
                    if turn is not None and turn.session_id == session_id:
                        found.append(cid)
        return found

    async def close(self) -> None:
        """Its connections are closed; what is stored stays."""
        await self.at.backend.close()


class InMemoryContinuationStore(ContinuationStore):
    """Records that live as long as this value; with a ManualClock their time is virtual."""

    def __init__(self, clock: ReadableClock | None = None) -> None:
        super().__init__(installed(MemoryBackend(clock=clock), secrets.token_bytes(32)))


def installed(backend: Backend, key: bytes) -> Installation:
    """The installation whose records `key` signs."""
    return Installation(backend, Seal(key), BudgetVector({}))
