"""What a commit tells people: why a continuation is as it is, what it asks of them, what the feed says of the tick.

Pure words over a checkpoint and its record; nothing here decides anything.
"""

import traceback

import orjson
from pydantic import JsonValue

from maestro.continuation.checkpoint import Checkpoint, LogRecord
from maestro.continuation.expiry import patience
from maestro.continuation.wait import asks_person, describe, parts


def reason_of(checkpoint: Checkpoint) -> str:
    """Why a continuation is as it is, in words for a person."""
    if checkpoint.hold:
        return f"held, {checkpoint.hold}: {checkpoint.hold_detail}"
    if checkpoint.wait is not None:
        return describe(checkpoint.wait) + "".join(
            f"; asks you: {open_.question}" for open_ in checkpoint.disagreements
        )
    return f"{checkpoint.status}: {checkpoint.stop_detail or checkpoint.stop_reason or 'not started yet'}"


def asked_of_person(after: Checkpoint) -> bytes | None:
    """What a person is asked, as `waits` shows it; None when nothing is."""
    if after.hold is None and not after.disagreements and (after.wait is None or not asks_person(after.wait)):
        return None
    asked = [] if after.wait is None else [p.model_dump(mode="json") for p in parts(after.wait) if asks_person(p)]
    if not after.terminal:
        asked += [
            {"type": "disagreement", "question": d.question, **d.model_dump(mode="json")} for d in after.disagreements
        ]
    return orjson.dumps(
        {
            "id": after.id,
            "behaviour": after.behaviour,
            "asked": asked,
            "hold": after.hold,
            "reason": reason_of(after),
            "since_ms": after.updated_at_ms,
            "until_ms": after.expires_at_ms,
            "patience": patience(after.wait),
        }
    )


def asking(before: Checkpoint, after: Checkpoint) -> str | None:
    """`opened` where people are asked what they were not, `closed` where they are asked no more; None without news."""
    told = map(asked_of_person, (before, after))
    was, is_ = (None if asked is None else orjson.loads(asked)["asked"] for asked in told)
    if is_ is None:
        return None if was is None else "closed"
    return "opened" if was is None or [_same(one) for one in is_] != [_same(one) for one in was] else None


def _same(asked: dict[str, JsonValue]) -> tuple[JsonValue, ...]:
    """What makes two askings one."""
    return tuple(asked.get(name) for name in ("type", "question_id", "approval_id", "resource", "question"))


def committed_fact(record: LogRecord, after: Checkpoint, before: Checkpoint | None = None) -> bytes:
    """What the feed tells of a committed tick."""
    asks = None if before is None else asking(before, after)
    return orjson.dumps(
        {
            "type": "committed",
            "cid": after.id,
            "root": after.root,
            "behaviour": after.behaviour,
            "rev": record.rev,
            "epoch": record.epoch,
            "status": after.status,
            "trigger": None if record.woken_by is None else record.woken_by.model_dump(),
            "reason": record.reason,
            **({} if record.autonomous_decision is None else {"autonomous_decision": record.autonomous_decision}),
            **({} if asks is None else {"asks": asks}),
            "charges": record.charges,
            "directives": [d["type"] for d in record.directives if isinstance(d, dict)],
            "at_ms": record.started_at_ms,
        }
    )


def failure(error: Exception) -> str:
    """An error as `why` shows it: what it says and the line of the behaviour that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"[:2_000]
