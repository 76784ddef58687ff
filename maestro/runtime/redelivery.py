"""Dead letters get another chance: what could not be delivered is sent again, once its cause is gone.

Invariants: a letter is a dead letter or delivered, never both and never neither; why it had died stays in the feed of
facts and in the `cause` of the mail; what cannot arrive now stays where it is, and the error says why.
"""

from typing import Any

import orjson
from pydantic import ValidationError

from maestro.continuation.mail import Kind, Mail
from maestro.errors import Conflict, IntegrityError, InvalidInput, NotFound
from maestro.ids import MailId, Partition, check_continuation_id, new_token
from maestro.mesh.event import Event
from maestro.runtime.backend import Backend
from maestro.runtime.loops import partitions_of
from maestro.runtime.publisher import MeshPublisher

SEARCHED = 10_000  # as many as a partition keeps
_WHY = {
    "unknown": "nobody has that id",
    "terminal": "its receiver is done",
    "full": "the mailbox of its receiver is full",
    "duplicate": "it is there already",
}


async def redeliver(backend: Backend, id_: str) -> int:
    """Every dead letter whose id is `id_` is delivered; returns how many.

    Raises:
        NotFound: there is none.
        Conflict: one cannot arrive now either; those before it have.
        IntegrityError: one cannot be read.
    """
    count = 0
    for partition in partitions_of(backend):
        for letter in await backend.records.dead_letters(partition, SEARCHED):
            told = orjson.loads(letter)
            if told["id"] == id_:
                await _redeliver(backend, partition, letter, told)
                count += 1
    if count == 0:
        raise NotFound(f"no dead letter {id_}", field="redeliver", hint="see `maestro dead-letters`")
    return count


async def _redeliver(backend: Backend, partition: Partition, letter: bytes, told: dict[str, Any]) -> None:
    try:
        if told["kind"] == "event" and not _is_addressed(told):
            await MeshPublisher(backend.router, backend.partitions).publish(Event.model_validate_json(told["payload"]))
            outcome = await backend.router.redeliver(partition, letter, None, None)
        else:
            to = check_continuation_id(told["to"])
            outcome = await backend.router.redeliver(partition, letter, to, _mail(told))
    except ValidationError:
        raise IntegrityError(
            f"the dead letter {told['id']} cannot be read", hint="see `maestro dead-letters`"
        ) from None
    if outcome not in ("ok", "gone"):
        why = _WHY.get(outcome, outcome)
        raise Conflict(f"{told['id']} cannot be delivered: {why}", field="redeliver", hint="see `maestro dead-letters`")


def _is_addressed(told: dict[str, Any]) -> bool:
    """False for an event that never came as far as those who asked for it."""
    try:
        check_continuation_id(told["to"])
    except InvalidInput:
        return False
    return True


def _mail(told: dict[str, Any]) -> Mail:
    """The mail under an id of its own: the old one may be known as one that came."""
    body = orjson.loads(told["payload"])
    name, cause = MailId(new_token("redelivered")), f"dead: {told['cause']}"
    if "kind" in body:
        return Mail.model_validate({**body, "id": name, "cause": cause, "expires_ms": None, "supersedes": None})
    event = Event.model_validate(body)
    return Mail(
        id=name,
        kind=Kind.EVENT,
        sender=event.source,
        subject=event.subject,
        correlation=told.get("interest"),
        body=event.model_dump(mode="json"),
        sent_ms=event.time_ms,
        cause=cause,
        trust=event.taint,
        hops=event.hops,
    )
