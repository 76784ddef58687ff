"""Births: the first checkpoint and record 0 of a continuation, root or child.

Invariant: a birth is complete before it is written; there is no moment at which a continuation exists without a goal, a
budget or its start mail.
"""

import orjson
from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation import patch
from maestro.continuation.checkpoint import GENESIS, Checkpoint, LogRecord, digest
from maestro.continuation.directive import Spawn
from maestro.continuation.envelope import Envelope, Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Kind, Mail
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, Epoch, MailId, Rev, TenantId, TimeMs
from maestro.tick.store import Birth

MAX_DEPTH = 8  # PROMISES B43: a deeper tree is a runaway, not a plan
FIRST_VERSION = 1


def root_of(
    cid: ContinuationId,
    tenant: TenantId,
    behaviour: str,
    goal: GoalFrame,
    now_ms: TimeMs,
    *,
    pool: str = "default",
    name: str | None = None,
    input: JsonValue = None,
) -> Checkpoint:
    """The first checkpoint of a root."""
    return Checkpoint(
        id=cid,
        tenant=tenant,
        name=name,
        behaviour=behaviour,
        behaviour_version=FIRST_VERSION,
        pool=pool,
        goal=goal,
        root=cid,
        input=input,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def child_of(parent: Checkpoint, spawn: Spawn, now_ms: TimeMs, tainted: bool = False) -> Checkpoint:
    """The first checkpoint of a child.

    Raises:
        InvalidInput: the tree would be deeper than MAX_DEPTH.
    """
    most = min(MAX_DEPTH, parent.bounds.max_depth or MAX_DEPTH)
    if parent.depth + 1 > most:
        raise InvalidInput(
            f"a child of {parent.id} would be {parent.depth + 1} deep", field="spawn", hint=f"the limit is {most}"
        )
    return Checkpoint(
        id=spawn.child,
        tenant=parent.tenant,
        behaviour=spawn.behaviour,
        behaviour_version=FIRST_VERSION,
        pool=spawn.pool,
        goal=spawn.goal,
        parent=parent.id,
        root=parent.root,
        depth=parent.depth + 1,
        bounds=parent.bounds.inherited(),
        restart=spawn.restart,
        input=spawn.input,
        scopes=spawn.scopes,
        tainted=tainted,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def born(first: Checkpoint, grant: BudgetVector, seal: Seal) -> Birth:
    """The birth that writes `first`: rev 0, epoch 0, the whole checkpoint as its patch, and the start mail."""
    body = first.body()
    record = LogRecord(
        cid=first.id,
        tenant=first.tenant,
        rev=Rev(0),
        epoch=Epoch(0),
        behaviour=first.behaviour,
        behaviour_version=first.behaviour_version,
        trigger=None,
        started_at_ms=first.created_at_ms,
        reason="born",
        state_hash=digest(body),
        previous_hash=GENESIS,
        patch=patch.diff({}, orjson.loads(body)),
    ).body()
    place = (first.id, first.tenant, Epoch(0), Rev(0))
    start = Mail(
        id=MailId(f"start:{first.id}"), kind=Kind.START, sender=first.parent or "client", sent_ms=first.created_at_ms
    )
    return Birth(
        cid=first.id,
        checkpoint=seal.close(Envelope("checkpoint", *place, digest(record), body)),
        record=seal.close(Envelope("record", *place, GENESIS, record)),
        grant=grant,
        start=start,
        pool=first.pool,
        root=first.root,
        behaviour=first.behaviour,
        name=first.name,
    )
