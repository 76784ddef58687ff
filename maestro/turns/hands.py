"""Taking one certain continuation in hand, and carrying its tick to the commit: the engine's own adoption and runner.

Invariants: adoption is the claim, so exactly one of several who resume wins; whoever dies leaves a lease that runs out;
an order from people interrupts the turn under way. What a host does for a pool is done here for one.
"""

from dataclasses import dataclass

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.ids import ContinuationId, HolderId, Partition, new_holder_id, partition_of
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.verbs import Installation
from maestro.tick.behaviour import Repertoire
from maestro.tick.mindless import Mindless
from maestro.tick.runner import Surroundings
from maestro.tick.store import Adopted
from maestro.turns.state import POOL, Turn
from maestro.turns.triggers import SENDER

NOTHING = BudgetVector({})
MINDLESS = Mindless("a bounded turn has no mind of its own", "call models in the harness")


@dataclass(frozen=True, slots=True)
class Claim:
    """A continuation in hand, and the name that its lease runs under."""

    adopted: Adopted
    holder: HolderId


@dataclass(frozen=True, slots=True)
class Hands:
    """What takes continuations of one installation in hand."""

    at: Installation
    lease_ms: int
    turn_timeout_ms: int

    async def claim(self, cid: ContinuationId, pool: str = POOL) -> Claim | None:
        """Exactly `cid` is in hand; None where it is not ready, or somebody else was first."""
        return await self._adopt(pool, partition_of(cid), cid)

    async def claim_any(self) -> Claim | None:
        """The turn that is ready for longest is in hand."""
        for number in range(self.at.backend.partitions):
            claim = await self._adopt(POOL, Partition(number), None)
            if claim is not None:
                return claim
        return None

    async def carry(self, claim: Claim, code: type[Turn] = Turn) -> None:
        """Its tick has ended in the store: committed, held, or handed back.

        Raises:
            Fenced: the lease ran out meanwhile, and somebody else has it.
        """
        settings = HostSettings(
            pool=POOL, holder=claim.holder, partitions=self.at.backend.partitions, lease_ms=self.lease_ms
        )
        await Host(settings, self._surroundings(code), self.at.backend.signals).carry(claim.adopted)

    async def put_back(self, claim: Claim) -> None:
        """It is ready again as if it had never been in hand."""
        adopted = claim.adopted
        await self.at.backend.store.release(adopted.cid, adopted.epoch, 0, adopted.last_error, counts=False)

    async def reclaim(self, partition: Partition) -> None:
        """What the dead had in hand is ready again."""
        for holder in await self.at.backend.leases.expired(partition):
            await self.at.backend.leases.reclaim(holder, partition)

    def checkpoint(self, claim: Claim) -> Checkpoint:
        """The checkpoint in hand, checked."""
        adopted = claim.adopted
        body = self.at.seal.open(adopted.checkpoint, "checkpoint", adopted.cid, self.at.tenant).body
        return Checkpoint.model_validate_json(body)

    async def _adopt(self, pool: str, partition: Partition, only: ContinuationId | None) -> Claim | None:
        holder = new_holder_id(SENDER)
        adopted = await self.at.backend.store.adopt(pool, holder, self.lease_ms, partition, only)
        return None if adopted is None else Claim(adopted, holder)

    def _surroundings(self, code: type[Turn]) -> Surroundings:
        return Surroundings(
            store=self.at.backend.store,
            seal=self.at.seal,
            tenant=self.at.tenant,
            repertoire=Repertoire([code]),
            make_mind=lambda *_: MINDLESS,
            tick_deadline_ms=self.turn_timeout_ms,
        )
