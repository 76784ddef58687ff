"""Envelopes: what is kept is signed, and belongs to one place only.

An envelope is a JSON header line and the JSON body after it. The MAC covers kind, id, tenant, epoch, rev, the hash of
the log record it follows, and the body: no byte can change, and no blob of one continuation passes for another's.

Source: PROMISES 5.2, M4; HMAC-SHA256.
"""

import hmac
from dataclasses import dataclass
from typing import Literal

import orjson

from maestro.errors import IntegrityError
from maestro.ids import ContinuationId, Epoch, Rev, TenantId

SCHEMA = 1
EnvelopeKind = Literal["checkpoint", "record"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A body and where it belongs."""

    kind: EnvelopeKind
    id: ContinuationId
    tenant: TenantId
    epoch: Epoch
    rev: Rev
    previous_hash: str
    """For a checkpoint, the hash of the log record that led to it; for a record, of the one before it."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """The key that signs and checks envelopes; it never prints."""

    key: bytes

    def __repr__(self) -> str:
        return "Seal(...)"

    def close(self, envelope: Envelope) -> bytes:
        """The envelope as bytes for the store."""
        header = {
            "schema": SCHEMA,
            "kind": envelope.kind,
            "id": envelope.id,
            "tenant": envelope.tenant,
            "epoch": envelope.epoch,
            "rev": envelope.rev,
            "previous": envelope.previous_hash,
            "mac": self._mac(envelope),
        }
        return orjson.dumps(header) + b"\n" + envelope.body

    def open(self, sealed: bytes, kind: EnvelopeKind, cid: ContinuationId, tenant: TenantId) -> Envelope:
        """The envelope in `sealed`, checked before anything in its body is read.

        Raises:
            IntegrityError: not an envelope, of a later schema, of another place, or changed since it was closed.
        """
        head, newline, body = sealed.partition(b"\n")
        try:
            header = orjson.loads(head)
            schema, mac = header["schema"], header["mac"]
            envelope = Envelope(
                kind=header["kind"],
                id=header["id"],
                tenant=header["tenant"],
                epoch=header["epoch"],
                rev=header["rev"],
                previous_hash=header["previous"],
                body=body,
            )
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise IntegrityError(f"{cid}: its {kind} is no envelope", hint="restore it from an export") from None
        if schema != SCHEMA or not newline:
            raise IntegrityError(f"{cid}: its {kind} has schema {schema}, this code reads {SCHEMA}", hint="upgrade")
        if (envelope.kind, envelope.id, envelope.tenant) != (kind, cid, tenant):
            raise IntegrityError(f"{cid}: its {kind} belongs to {envelope.tenant}/{envelope.id}")
        if not hmac.compare_digest(str(mac).encode(), self._mac(envelope).encode()):
            raise IntegrityError(f"{cid}: its {kind} was changed after it was written", hint="run `maestro verify`")
        return envelope

    def sign(self, text: bytes) -> str:
        """What only this key makes of `text`; of no envelope it is the same."""
        return hmac.digest(self.key, b"signed\0" + text, "sha256").hex()

    def _mac(self, e: Envelope) -> str:
        place = f"{SCHEMA}\0{e.kind}\0{e.id}\0{e.tenant}\0{e.epoch}\0{e.rev}\0{e.previous_hash}\0"
        return hmac.digest(self.key, place.encode() + e.body, "sha256").hex()[:32]
