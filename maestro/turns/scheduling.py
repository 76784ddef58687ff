"""The built-in scheduler: the store's own timers.

A record that waits for a time has its timer in the store, set and cancelled by the commits of the record itself; no
process polls for it, and whoever calls `ContinuationRuntime.run_due` carries out what is due.
"""

from maestro.ids import derived_token
from maestro.turns.ports import ContinuationWakeUp


class StoreScheduler:
    """ContinuationSchedulerAdapter over the store's timers: nothing beside the record's own commit is written."""

    async def schedule_wake(self, continuation_id: str, wake_at_ms: int) -> ContinuationWakeUp:
        return ContinuationWakeUp(wake_up_id=derived_token("wake", continuation_id, wake_at_ms))
