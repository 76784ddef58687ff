"""What a change of code does to a continuation, told: other code from this tick on, or a hold for want of it.

Pure words over checkpoints. How a state is migrated: maestro.tick.migration.
"""

import orjson

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.lifecycle import Hold
from maestro.tick.store import Adopted, Held
from maestro.tick.telling import asked_of_person


def withheld(before: Checkpoint, adopted: Adopted, hold: Hold, reason: str) -> Held:
    """The note that there is no code for it: told to people as a commit would tell it, and no commit."""
    fact = {
        "type": "held",
        "cid": before.id,
        "root": before.root,
        "behaviour": before.behaviour,
        "hold": hold,
        "reason": reason,
        "at_ms": adopted.now_ms,
    }
    return Held(
        cid=before.id,
        epoch=adopted.epoch,
        hold=hold,
        reason=reason,
        controls_taken=len(adopted.controls),
        waiting_on_person=asked_of_person(before.model_copy(update={"hold": hold, "hold_detail": reason})),
        facts=(orjson.dumps(fact),),
    )


def change_of_code(before: Checkpoint, after: Checkpoint) -> str | None:
    """What other code did with this tick, in words for the log; None where the code is the same, or is the first."""
    if before.state is None:
        return None
    told = []
    if after.behaviour != before.behaviour:
        told.append(f"renamed from {before.behaviour} to {after.behaviour}")
    if after.behaviour_version != before.behaviour_version:
        told.append(f"migrated from version {before.behaviour_version} to {after.behaviour_version}")
    return ", ".join(told) or None
