"""Envelopes: no byte may change, no blob may pass for another's."""

from dataclasses import replace

import orjson
import pytest

from maestro.continuation.envelope import Envelope, Seal
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId, Epoch, Rev, TenantId

SEAL = Seal(b"one key of thirty-two bytes, here")
ME, OTHER = ContinuationId("0123456789abcdefghjkmn-0"), ContinuationId("0123456789abcdefghjkmp-0")
ACME, EVIL = TenantId("acme"), TenantId("evil")
WHOLE = Envelope("checkpoint", ME, ACME, Epoch(3), Rev(7), "f" * 64, b'{"state":{"n":1}}')


def test_what_was_closed_opens_as_it_was() -> None:
    assert SEAL.open(SEAL.close(WHOLE), "checkpoint", ME, ACME) == WHOLE


def test_every_changed_bit_is_seen() -> None:
    sealed = SEAL.close(WHOLE)
    for place in range(len(sealed)):
        for bit in range(8):
            damaged = bytearray(sealed)
            damaged[place] ^= 1 << bit
            with pytest.raises(IntegrityError):
                SEAL.open(bytes(damaged), "checkpoint", ME, ACME)


def test_every_cut_is_seen() -> None:
    sealed = SEAL.close(WHOLE)
    for length in range(len(sealed)):
        with pytest.raises(IntegrityError):
            SEAL.open(sealed[:length], "checkpoint", ME, ACME)


def test_what_is_appended_is_seen() -> None:
    with pytest.raises(IntegrityError):
        SEAL.open(SEAL.close(WHOLE) + b" ", "checkpoint", ME, ACME)


@pytest.mark.parametrize(
    "stranger",
    [replace(WHOLE, id=OTHER), replace(WHOLE, tenant=EVIL), replace(WHOLE, kind="record")],
    ids=["of another continuation", "of another tenant", "of another kind"],
)
def test_a_blob_of_elsewhere_passes_for_nobody_elses(stranger: Envelope) -> None:
    with pytest.raises(IntegrityError, match="belongs to"):
        SEAL.open(SEAL.close(stranger), "checkpoint", ME, ACME)


@pytest.mark.parametrize(
    "claim",
    [
        {"epoch": 4},
        {"rev": 8},
        {"previous": "e" * 64},
        {"id": OTHER},
        {"tenant": EVIL},
        {"kind": "record"},
        {"mac": 5},
        {"mac": "\u00e9"},
    ],
    ids=str,
)
def test_a_header_that_claims_another_place_is_seen(claim: dict[str, object]) -> None:
    head, _, body = SEAL.close(WHOLE).partition(b"\n")
    forged = orjson.dumps(orjson.loads(head) | claim) + b"\n" + body
    told = orjson.loads(head) | claim
    with pytest.raises(IntegrityError):
        SEAL.open(forged, told["kind"], told["id"], told["tenant"])


def test_parts_of_the_place_cannot_be_shifted_into_one_another() -> None:
    one = replace(WHOLE, tenant=TenantId("a\x001"), epoch=Epoch(2))
    two = replace(WHOLE, tenant=TenantId("a"), epoch=Epoch(1))
    macs = {orjson.loads(SEAL.close(e).partition(b"\n")[0])["mac"] for e in (one, two)}
    assert len(macs) == 2


def test_another_key_opens_nothing() -> None:
    with pytest.raises(IntegrityError, match="changed after it was written"):
        Seal(b"another key").open(SEAL.close(WHOLE), "checkpoint", ME, ACME)


def test_a_later_schema_is_named_not_guessed_at() -> None:
    head, _, body = SEAL.close(WHOLE).partition(b"\n")
    later = orjson.dumps(orjson.loads(head) | {"schema": 2}) + b"\n" + body
    with pytest.raises(IntegrityError, match="schema 2, this code reads 1"):
        SEAL.open(later, "checkpoint", ME, ACME)


@pytest.mark.parametrize("junk", [b"", b"\n", b"{}\n{}", b"[]\n", b"null\n", b"\x80\x04pickle", b'{"schema":1}\n'])
def test_what_is_no_envelope_is_said_to_be_none(junk: bytes) -> None:
    with pytest.raises(IntegrityError):
        SEAL.open(junk, "checkpoint", ME, ACME)


def test_the_key_never_prints() -> None:
    assert "key of" not in f"{SEAL!r} {SEAL}"
