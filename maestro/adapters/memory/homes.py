"""Who listens to its own name, and what it has already: `maestro.tick.linger` in memory."""

from dataclasses import replace

from maestro.adapters.memory import waking
from maestro.adapters.memory.state import PartitionState
from maestro.ids import ContinuationId, HolderId, TimeMs
from maestro.runtime.ports import ready_signal
from maestro.tick.linger import Linger, own_name
from maestro.tick.store import Adopted


def adopt(
    state: PartitionState, by: tuple[str, HolderId, int], linger: Linger | None, only: ContinuationId | None = None
) -> Adopted | None:
    """Adopted as `waking.adopt` does, without what the holder has; and it listens to its own name, or does no more."""
    pool, holder, lease_ms = by
    adopted = waking.adopt(state, pool, holder, lease_ms, only)
    if linger is None:
        return adopted
    if linger.listens_ms and adopted is not None and not linger.room:
        leave(state, own_name(holder))
    else:
        settle_in(state, pool, holder, linger)
    if adopted is None or linger.known.get(adopted.cid) != state.rows[adopted.cid].tenure.commit_epoch:
        return adopted
    state.counts["adopted_known"] += 1
    return replace(adopted, checkpoint=b"")


def settle_in(state: PartitionState, pool: str, holder: HolderId, linger: Linger | None) -> None:
    """It listens to its own name from now on, if it ever does."""
    if linger is not None and linger.listens_ms:
        state.homes[own_name(holder)] = TimeMs(state.now() + linger.listens_ms), pool


def leave(state: PartitionState, name: str) -> None:
    """Nobody is roused by that name; what it was roused for is everybody's of its pool."""
    _, pool = state.homes.pop(name, (None, None))
    if state.signals.hush(ready_signal(name)) and pool is not None and state.ready[pool].first() is not None:
        state.signals.ring(ready_signal(pool))
