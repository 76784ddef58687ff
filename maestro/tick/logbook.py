"""The log record of a tick: what woke it, what it decided, what that cost, and the patch that it made.

Invariant: the patch turns the bytes of the checkpoint before into the bytes of the one after, so that the log alone
rebuilds it. What woke the tick is written once: as the first mail consumed, or by itself where nothing was consumed.
"""

import orjson

from maestro.budget.vector import BudgetVector
from maestro.continuation import patch
from maestro.continuation.checkpoint import Checkpoint, LogRecord, TriggerNote, digest
from maestro.continuation.mail import Mail
from maestro.tick.codechange import change_of_code
from maestro.tick.telling import reason_of
from maestro.tick.transition import Facts, Transition


def record_of(
    facts: Facts, transition: Transition, after: Checkpoint, body: bytes, spent: BudgetVector = BudgetVector({})
) -> LogRecord:
    """The record of the tick that led to `after`, whose canonical bytes are `body`; the commit itself cost `spent`."""
    charges = dict(spent.items())
    for effect in facts.effects:
        for resource, amount in effect.charge.items():
            charges[resource] = charges.get(resource, 0) + amount
    changed = change_of_code(facts.before, after)
    is_read = bool(facts.consumed) and facts.trigger is facts.consumed[0]
    return LogRecord(
        cid=after.id,
        tenant=after.tenant,
        rev=facts.rev,
        epoch=facts.epoch,
        behaviour=after.behaviour,
        behaviour_version=after.behaviour_version,
        trigger=None if facts.trigger is None or is_read else _note(facts.trigger),
        consumed=tuple(map(_note, facts.consumed)),
        wait=None if after.wait is None else after.wait.model_dump(mode="json"),
        directives=tuple(d.model_dump(mode="json") for d in (*transition.acts, transition.closing)),
        effects=facts.effects,
        charges=charges,
        started_at_ms=facts.now_ms,
        reason=reason_of(after) if changed is None else f"{reason_of(after)}; {changed}",
        state_hash=digest(body),
        previous_hash=facts.previous_hash,
        autonomous_decision=facts.autonomous_decision,
        durability=facts.durability,
        patch=patch.diff(orjson.loads(facts.before_body), orjson.loads(body)),
    )


def _note(mail: Mail) -> TriggerNote:
    return TriggerNote(id=mail.id, kind=mail.kind.value, sender=mail.sender, subject=mail.subject)
