"""Exports: one portable file that holds all of a family, sealed, and the way back into a store.

    lines of JSON: header | one per continuation | one per block | seal over all lines before

A move fences the source first, in one step, and only then writes: whatever dies in between, the same export again
gives the same bytes, and importing them twice is importing them once. Bodies stand in the file as they were hashed;
envelopes are made anew under the key of the store that takes them in, so the hash chain goes on unbroken.
Invariants: nothing of a file is believed before its seal, its chains and its blocks have been checked; a block is in
the new store before a record that refers to it.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from maestro.continuation.artifact import refs_in
from maestro.continuation.blocks import name_of, names_under
from maestro.continuation.checkpoint import Checkpoint, LogRecord, digest, replay
from maestro.continuation.envelope import Envelope, Seal
from maestro.errors import Conflict, IntegrityError, InvalidInput
from maestro.ids import ContinuationId, Epoch, Rev, TenantId, TimeMs, new_token
from maestro.runtime.audit import audited, note
from maestro.runtime.verbs import Installation, glance_of
from maestro.runtime.verification import refs_of
from maestro.tick.moves import Departed, Member, Packed

FORMAT: Literal["maestro-export"] = "maestro-export"
VERSION: Literal[2] = 2
LOOKS = 20  # at a family that goes on living while we look


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Header(_Line):
    """What a file is."""

    format: Literal["maestro-export"] = FORMAT
    version: Literal[2] = VERSION
    export_id: str
    mode: Literal["move", "copy"]
    kind: str
    """Of the store that it comes from."""
    tenant: TenantId
    root: ContinuationId
    to: str
    at_ms: TimeMs


class Shipped(_Line):
    """One continuation."""

    cid: ContinuationId
    name: str | None
    epoch: Epoch
    rev: Rev
    checkpoint: str
    """Its body, as it was hashed."""
    log: Annotated[tuple[tuple[TimeMs, str], ...], Field(min_length=1)]
    rest: JsonValue


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file brought."""

    export_id: str
    mode: str
    root: ContinuationId
    cids: tuple[ContinuationId, ...]
    new: bool
    """False when the same export was imported before."""


@audited("export", "cid", "to", "move")
async def export(at: Installation, cid: ContinuationId, to: str, *, move: bool) -> bytes:
    """The file that holds the family of the root `cid`; with `move` it has left for `to`, for ever.

    Raises:
        Conflict: it is a child, or its family never stood still.
        ContinuationMovedError: it is to be copied, and has left.
    """
    glance = await glance_of(at, cid)
    export_id = glance.moved_by if move and glance.moved_by else new_token("export")
    departed = await _departed(at, cid, export_id if move else None, to)
    gone_to = (await glance_of(at, cid)).moved_to if move else None
    shipped = [_shipped(at, pack) for pack in departed.packed]
    header = Header(
        export_id=export_id,
        mode="move" if move else "copy",
        kind=departed.kind,
        tenant=at.tenant,
        root=cid,
        to=gone_to or to,
        at_ms=departed.at_ms,
    )
    names = sorted({name for line in shipped for name in await _names(at, line)})
    blocks = await at.backend.blocks.get(cid, names)
    lines = [orjson.dumps(line.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS) for line in (header, *shipped)]
    lines += [orjson.dumps({"block": base64.b64encode(blocks[name]).decode()}) for name in names]
    body = b"\n".join(lines) + b"\n"
    return body + orjson.dumps({"seal": at.seal.sign(body)}) + b"\n"


async def bring_in(at: Installation, file: bytes, key: Seal | None = None) -> Imported:
    """What is in `file` lives here.

    Args:
        key: of the store that wrote it, where that is another than ours.

    Raises:
        IntegrityError: not a file of ours, or changed since it was written.
        InvalidInput: of another version, tenant or kind of store.
        Conflict: it, or somebody of its name, lives here already.
    """
    header, shipped, blocks = _opened(file, key or at.seal)
    if header.tenant != at.tenant:
        raise InvalidInput(
            f"this export belongs to tenant {header.tenant}, not {at.tenant}", field="file", hint="use --tenant"
        )
    await note(at, "import", header.root, export_id=header.export_id, mode=header.mode)
    packed = tuple(_packed(at, line) for line in shipped)
    await at.backend.blocks.put(header.root, blocks)
    new = await at.backend.moves.arrive(Departed(header.kind, header.at_ms, packed), header.export_id)
    return Imported(header.export_id, header.mode, header.root, tuple(line.cid for line in shipped), new)


async def _departed(at: Installation, cid: ContinuationId, export_id: str | None, to: str) -> Departed:
    for _ in range(LOOKS):
        departed = await at.backend.moves.depart(await _family(at, cid, None), export_id, to)
        if departed is not None:
            return departed
    raise Conflict(f"the family of {cid} changes faster than it can be packed", field="id", hint="freeze it first")


async def _family(at: Installation, cid: ContinuationId, parent: ContinuationId | None) -> list[Member]:
    """A continuation and all that are its children now, ended ones too: their money is part of its account."""
    glance = await glance_of(at, cid)
    if parent is not None and glance.parent != parent:
        return []
    checkpoint = Checkpoint.model_validate_json(at.seal.open(glance.checkpoint, "checkpoint", cid, at.tenant).body)
    interests = tuple((interest.pattern, interest.id) for interest in checkpoint.interests)
    members = [Member(cid, Rev(glance.rev), tuple(checkpoint.timers), interests)]
    for child in checkpoint.children:
        members += await _family(at, child, cid)
    return members


def _shipped(at: Installation, pack: Packed) -> Shipped:
    body = at.seal.open(pack.checkpoint, "checkpoint", pack.cid, at.tenant).body
    checkpoint = Checkpoint.model_validate_json(body)
    return Shipped(
        cid=pack.cid,
        name=None if checkpoint.terminal else checkpoint.name,
        epoch=pack.epoch,
        rev=pack.rev,
        checkpoint=body.decode(),
        log=tuple((at_ms, at.seal.open(line, "record", pack.cid, at.tenant).body.decode()) for at_ms, line in pack.log),
        rest=pack.rest,
    )


async def _names(at: Installation, line: Shipped) -> set[str]:
    """The blocks that its records and its open journal need."""
    records = [LogRecord.model_validate_json(body) for _, body in line.log]
    refs = [ref for record in records for ref in refs_of(record)]
    return await names_under([*refs, *_journaled(line.rest)], partial(at.backend.blocks.get, line.cid))


def _journaled(rest: JsonValue) -> list[JsonValue]:
    """What the intents and answers of the open journal refer to, in whatever shape its store keeps them."""
    match rest:
        case {"row": {"scratch": {"journal": dict(entries)}}}:
            intents = outcomes = list(entries.values())
        case {"journal": list(fields)}:
            couples = [couple for couple in fields if isinstance(couple, list)]
            intents = [orjson.loads(str(intent)) for ordinal, intent in couples if str(ordinal).isdigit()]
            outcomes = [orjson.loads(str(outcome)) for ordinal, outcome in couples if str(ordinal).endswith(".a")]
        case _:
            intents = outcomes = []
    asked = [intent.get(part) for intent in intents if isinstance(intent, dict) for part in ("asked", "question")]
    return asked + [ref for told in outcomes if isinstance(told, dict) for ref in refs_in(told.get("answer"))]


def _opened(file: bytes, seal: Seal) -> tuple[Header, Sequence[Shipped], Mapping[str, bytes]]:
    """What a file says, once its seal is checked."""
    body, newline, last = file.removesuffix(b"\n").rpartition(b"\n")
    try:
        claimed = str(orjson.loads(last)["seal"])
        is_ours = hmac.compare_digest(claimed.encode(), seal.sign(body + newline).encode())
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise IntegrityError("this is no whole export", hint="the last line of one is its seal: export again") from None
    if not is_ours:
        raise IntegrityError(
            "the seal of this export is not ours: it was changed, or another key wrote it",
            hint="give the key of the store that wrote it with --key-file",
        )
    head, *lines = (orjson.loads(line) for line in body.split(b"\n"))
    if (head.get("format"), head.get("version")) != (FORMAT, VERSION):
        raise InvalidInput(
            f"{head.get('format')} of version {head.get('version')} is not read here", field="file", hint="upgrade"
        )
    try:
        shipped = [Shipped.model_validate(line) for line in lines if "block" not in line]
        blocks = [base64.b64decode(line["block"]) for line in lines if "block" in line]
        return Header.model_validate(head), shipped, {name_of(block): block for block in blocks}
    except ValidationError as error:
        raise InvalidInput(f"this export cannot be read: {error}", field="file", hint="upgrade") from None


def _packed(at: Installation, line: Shipped) -> Packed:
    """A continuation under our own seals.

    Raises:
        IntegrityError: its log does not lead to its checkpoint.
    """
    bodies = [body.encode() for _, body in line.log]
    if replay(bodies) != Checkpoint.model_validate_json(line.checkpoint):
        raise IntegrityError(f"{line.cid}: the log in this export does not lead to its checkpoint", hint="export again")
    records = [LogRecord.model_validate_json(body) for body in bodies]
    place = (line.cid, at.tenant, records[-1].epoch, line.rev)
    checkpoint = Envelope("checkpoint", *place, digest(bodies[-1]), line.checkpoint.encode())
    sealed = [
        at.seal.close(Envelope("record", line.cid, at.tenant, record.epoch, record.rev, record.previous_hash, body))
        for record, body in zip(records, bodies, strict=True)
    ]
    pack = Packed(line.cid, line.name, line.epoch, line.rev, b"", (), line.rest)
    times = [at_ms for at_ms, _ in line.log]
    return replace(pack, checkpoint=at.seal.close(checkpoint), log=tuple(zip(times, sealed, strict=True)))
