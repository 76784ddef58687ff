"""Lineage: who was once one with whom. Forks of a checkpoint, and the ancestor that two of them have in common.

Rules of a fork: it has the state, the goal, the interests, the timers and the wait of its origin at that revision,
under an id of its own; it is a root, without children, name, result or hold; nothing is done again. Unread mail and
the field go along where the revision is the present one: of the past nobody knows what was unread.
Pure. What is not here: money and mail of a fork, which move in the store's own step.

Source: spec/01 section 9.
"""

from collections.abc import Sequence

from maestro.continuation.checkpoint import Checkpoint, ForkedFrom
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.supervision import Supervision
from maestro.continuation.wait import BudgetGrant
from maestro.ids import ContinuationId, Rev, TimeMs

Line = Sequence[ForkedFrom]
"""The origins of one continuation, itself first at its present revision, each with the revision that was forked."""


def forked(then: Checkpoint, rev: Rev, fork_id: ContinuationId, now_ms: TimeMs) -> Checkpoint:
    """The first checkpoint of a fork of `then`, which is its origin as it was after `rev`."""
    first = then.model_copy(
        update={
            "id": fork_id,
            "root": fork_id,
            "name": None,
            "parent": None,
            "depth": 0,
            "children": {},
            "ties": {},
            "supervision": Supervision(),
            "restart": "temporary",
            "disagreements": (),
            "forked_from": ForkedFrom(id=then.id, rev=rev),
            "status": Status.PENDING,
            "hold": None,
            "hold_detail": None,
            "stop_reason": None,
            "stop_detail": None,
            "result": None,
            "pool": "default" if then.pool.startswith("dedicated-") else then.pool,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
        }
    )
    return Checkpoint.model_validate(first.model_dump())


def common_ancestor(ours: Line, theirs: Line) -> ForkedFrom | None:
    """The latest checkpoint that both come from; None when they never were one.

    Where the two lines meet, the one that left earlier says how long they were one.
    """
    left = {place.id: place.rev for place in ours}
    for place in theirs:
        if place.id in left:
            return ForkedFrom(id=place.id, rev=min(place.rev, left[place.id]))
    return None


def is_legacy(before: Checkpoint, mail: Mail) -> bool:
    """True for what a merged one left, and for a person's word on a disagreement."""
    asked = {open_.question_id for open_ in before.disagreements}
    return mail.kind is Kind.MERGE or (mail.kind is Kind.REPLY and mail.correlation in asked)


def legacy_keys(after: Checkpoint) -> tuple[str, ...]:
    """What wakes it beside its wait: legacies, and answers to what is in dispute."""
    if after.terminal or isinstance(after.wait, BudgetGrant):
        return ()
    return (Kind.MERGE.value, *(f"{Kind.REPLY}:{open_.question_id}" for open_ in after.disagreements))
