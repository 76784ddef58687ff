"""A continuation as the bounded-turn API shows it: pure views over one look into the store.

Invariant: nothing shown is kept anywhere but in the checkpoint; what the store knows better (who holds it, how often it
was tried) is taken from the look.
"""

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.lifecycle import Status, activity
from maestro.ids import TenantId
from maestro.tick.records import Glance
from maestro.turns.records import FINAL, ContinuationRecord, Delivery, DeliveryState, moment
from maestro.turns.state import TurnState, turn_state

_SUPPRESSED = {
    Status.SUPERSEDED: DeliveryState.SUPPRESSED_SUPERSEDED,
    Status.EXPIRED: DeliveryState.SUPPRESSED_EXPIRED,
}


def opened(glance: Glance, seal: Seal, tenant: TenantId) -> Checkpoint:
    """The checkpoint in `glance`, checked."""
    return Checkpoint.model_validate_json(seal.open(glance.checkpoint, "checkpoint", glance.cid, tenant).body)


def record_of(glance: Glance, checkpoint: Checkpoint) -> ContinuationRecord:
    """The record, as it is now."""
    turn, hold, is_ready = turn_state(checkpoint), glance.hold or checkpoint.hold, glance.ready_since_ms is not None
    expires_at_ms = checkpoint.expires_at_ms
    shown = ContinuationRecord(
        id=checkpoint.id,
        status=status_of(glance, checkpoint),
        wait_for=checkpoint.wait,
        expires_at=None if expires_at_ms is None else moment(expires_at_ms),
        resume_attempts=attempts_of(glance, checkpoint) + int(_ended_by_itself(checkpoint, turn)),
        max_resume_attempts=checkpoint.bounds.max_resume_attempts,
        stop_reason=checkpoint.stop_reason,
        stop_detail=checkpoint.stop_detail,
        state=checkpoint.state,
        bounds=checkpoint.bounds,
        name=checkpoint.name,
        program=checkpoint.behaviour,
        program_version=checkpoint.behaviour_version,
        parent_id=glance.parent or checkpoint.parent,
        root_id=checkpoint.root,
        forked_from=checkpoint.forked_from,
        children=tuple(checkpoint.children),
        hold=hold,
        activity=activity(checkpoint.status, checkpoint.wait, hold, glance.holder, is_ready),
        created_at=moment(checkpoint.created_at_ms),
        updated_at=moment(checkpoint.updated_at_ms),
        rev=glance.rev,
        epoch=glance.epoch,
    )
    return shown if turn is None else shown.model_copy(update=_of_turn(turn, checkpoint))


def status_of(glance: Glance, checkpoint: Checkpoint) -> Status:
    """`resuming` while somebody holds it, else what is kept."""
    return Status.RESUMING if glance.holder and not checkpoint.terminal else checkpoint.status


def attempts_of(glance: Glance, checkpoint: Checkpoint) -> int:
    """The attempts of this turn lineage: those committed, and the tries of the turn that is open now."""
    return checkpoint.resume_attempts + (glance.tries if checkpoint.wait is not None else 0)


def delivery_of(turn: TurnState, status: Status) -> Delivery:
    """How far its delivery is; an end that nobody is to hear of says why."""
    if turn.deliverable and status in _SUPPRESSED:
        return Delivery(state=_SUPPRESSED[status])
    return turn.delivery


def _of_turn(turn: TurnState, checkpoint: Checkpoint) -> dict[str, object]:
    left = turn.last
    return {
        "assistant_id": turn.assistant_id,
        "session_id": turn.session_id,
        "origin_turn_id": turn.origin_turn_id,
        "delivery": delivery_of(turn, checkpoint.status),
        "state": {} if left is None else left.continuation_state,
        "metadata": {} if left is None else left.metadata,
    }


def _ended_by_itself(checkpoint: Checkpoint, turn: TurnState | None) -> bool:
    """True when the turn that was resumed last was its last."""
    return checkpoint.terminal and turn is not None and turn.last is not None and turn.last.outcome in FINAL
