"""A word after the end: what is noted of a continuation that has ended, such as how its result was delivered.

Invariants: pure; status, result and reason stay; the log goes on by one chained record, so that replay and verify hold;
the store takes it only at the next revision, so that of two at once one is refused and looks again.

Source: docs/decisions/0015-turns-are-continuations.md.
"""

import orjson
from pydantic import JsonValue

from maestro.continuation import patch
from maestro.continuation.checkpoint import Checkpoint, LogRecord, digest
from maestro.continuation.envelope import Envelope, Seal
from maestro.errors import ContinuationStateError
from maestro.ids import ContinuationId, Epoch, Rev, TenantId, TimeMs
from maestro.tick.records import Glance
from maestro.tick.store import Postscript
from maestro.tick.telling import committed_fact


def noted(glance: Glance, state: JsonValue, reason: str, now_ms: TimeMs, seal: Seal, tenant: TenantId) -> Postscript:
    """The postscript that leaves `state` behind, and says why.

    Raises:
        ContinuationStateError: it has not ended.
    """
    envelope = seal.open(glance.checkpoint, "checkpoint", glance.cid, tenant)
    before = Checkpoint.model_validate_json(envelope.body)
    if not before.terminal:
        raise unended(before.id)
    after = before.model_copy(update={"state": state, "updated_at_ms": now_ms})
    body, rev, epoch = after.body(), Rev(glance.rev + 1), Epoch(envelope.epoch)
    record = LogRecord(
        cid=after.id,
        tenant=after.tenant,
        rev=rev,
        epoch=epoch,
        behaviour=after.behaviour,
        behaviour_version=after.behaviour_version,
        trigger=None,
        started_at_ms=now_ms,
        reason=reason,
        state_hash=digest(body),
        previous_hash=envelope.previous_hash,
        patch=patch.diff(orjson.loads(envelope.body), orjson.loads(body)),
    )
    written = record.body()
    place = (after.id, after.tenant, epoch, rev)
    return Postscript(
        cid=after.id,
        rev=rev,
        checkpoint=seal.close(Envelope("checkpoint", *place, digest(written), body)),
        record=seal.close(Envelope("record", *place, envelope.previous_hash, written)),
        facts=(committed_fact(record, after),),
    )


def unended(cid: ContinuationId) -> ContinuationStateError:
    return ContinuationStateError(f"{cid} has not ended", hint="what lives is changed by its ticks")
