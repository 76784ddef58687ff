"""What continuations are for, as whoever ranks for them reads it: from their checkpoints, unsealed."""

from collections.abc import Iterable

import structlog

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId
from maestro.runtime.backend import Backend

log = structlog.get_logger()


async def goals_of(backend: Backend, seal: Seal, cids: Iterable[ContinuationId]) -> dict[ContinuationId, GoalFrame]:
    """The goals of those of `cids` that are there and whole."""
    return {cid: checkpoint.goal for cid, checkpoint in (await checkpoints_of(backend, seal, cids)).items()}


async def checkpoints_of(
    backend: Backend, seal: Seal, cids: Iterable[ContinuationId]
) -> dict[ContinuationId, Checkpoint]:
    """The checkpoints of those of `cids` that are there and whole."""
    found: dict[ContinuationId, Checkpoint] = {}
    for cid in sorted(set(cids)):
        glance = await backend.records.glance(cid)
        if glance is None:
            continue
        try:
            envelope = seal.open(glance.checkpoint, "checkpoint", cid, backend.tenant)
        except IntegrityError as error:  # its field is lost to it; nobody else's is
            log.error("not_projected", continuation=cid, error=str(error))  # noqa: TRY400 - the text says it all
            continue
        found[cid] = Checkpoint.model_validate_json(envelope.body)
    return found
