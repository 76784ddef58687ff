"""Verification: every byte that is kept of a continuation is one that was written, and together they make sense.

Looked at: the checkpoint and each record (seal), the times of commits, the chain of records, the checkpoint that the
log leads to, the revision that the store says, and every block that a record refers to (name). One that ticks while it
is looked at is looked at again: a log that grows between two readings is not damaged.
What is not here: mailboxes, ledgers and fields, which carry no seal (docs/semantics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue

from maestro.continuation.artifact import refs_in
from maestro.continuation.blocks import names_under
from maestro.continuation.checkpoint import Checkpoint, LogRecord, digest, replay
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId
from maestro.runtime import steer
from maestro.runtime.verbs import Installation, glance_of

LOOKS = 5
"""More at one that ticks whenever it is looked at."""
QUARANTINE = "quarantined"
"""How the reason begins for which a damaged one is frozen."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one continuation."""

    cid: ContinuationId
    records: int
    blocks: int
    damages: tuple[str, ...]
    """Each says what is damaged, and how it shows."""


async def verified(at: Installation, cid: ContinuationId) -> Verified:
    """Everything that is wrong with what is kept of `cid`.

    Raises:
        ContinuationNotFoundError: nobody has that id.
    """
    rev, found = (await glance_of(at, cid)).rev, await _looked_at(at, cid)
    for _ in range(LOOKS):
        before, rev = rev, (await glance_of(at, cid)).rev
        if not found.damages or rev == before:
            break
        found = await _looked_at(at, cid)
    return found


async def quarantine(at: Installation, found: Verified) -> None:
    """Nothing of a damaged one runs until a person thaws it; its mail and its timers queue. What has ended stays so."""
    if found.damages:
        await steer.freeze(at, found.cid, reason=f"{QUARANTINE}: {found.damages[0]}")


async def _looked_at(at: Installation, cid: ContinuationId) -> Verified:
    glance = await glance_of(at, cid)
    damages: list[str] = []
    try:
        checkpoint = at.seal.open(glance.checkpoint, "checkpoint", cid, at.tenant)
    except IntegrityError as error:
        checkpoint = None
        damages.append(f"checkpoint: {error.message}")
    bodies = await _opened(at, cid, damages)
    names: set[str] = set()
    if bodies is not None:
        if checkpoint is not None:
            damages += _chain(bodies, checkpoint.body, checkpoint.previous_hash, glance.rev)
        names = await _blocks(at, cid, bodies, damages)
    return Verified(cid, 0 if bodies is None else len(bodies), len(names), tuple(damages))


async def _opened(at: Installation, cid: ContinuationId, damages: list[str]) -> list[bytes] | None:
    """The bodies of all records; None when one of them is damaged."""
    try:
        lines = await at.backend.records.log(cid)
    except IntegrityError as error:
        damages.append(f"log: {error.message}")
        return None
    bodies: list[bytes] = []
    for number, (_, line) in enumerate(lines):
        try:
            bodies.append(at.seal.open(line, "record", cid, at.tenant).body)
        except IntegrityError as error:
            damages.append(f"record {number}: {error.message}")
    return bodies if len(bodies) == len(lines) else None


def _chain(bodies: Sequence[bytes], checkpoint: bytes, previous_hash: str, rev: int) -> list[str]:
    try:
        led_to = replay(bodies)
    except IntegrityError as error:
        return [f"log: {error.message}"]
    wrong = []
    if led_to != Checkpoint.model_validate_json(checkpoint):
        wrong.append("log: it does not lead to the checkpoint")
    if digest(bodies[-1]) != previous_hash:
        wrong.append("log: the checkpoint follows another record than its last")
    if len(bodies) != rev + 1:
        wrong.append(f"log: {len(bodies)} records at rev {rev}")
    return wrong


async def _blocks(at: Installation, cid: ContinuationId, bodies: Sequence[bytes], damages: list[str]) -> set[str]:
    """The names of all blocks that the records need; what is wrong with them is among the damages."""
    fetch = partial(at.backend.blocks.get, cid)
    found: set[str] = set()
    for number, body in enumerate(bodies):
        for ref in refs_of(LogRecord.model_validate_json(body)):
            try:
                found |= await names_under(ref, fetch)
            except IntegrityError as error:
                damages.append(f"record {number}: {error.message}")
    return found


def refs_of(record: LogRecord) -> list[JsonValue]:
    """Where a record refers to blocks."""
    noted = [part for note in record.effects for part in (note.asked, note.answer, note.question) if part is not None]
    return [*noted, *(ref for note in record.effects for ref in refs_in(note.detail))]
