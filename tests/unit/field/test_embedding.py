"""Vectors without a model: the same for ever, of length 1, near for what is about the same."""

import hashlib
import struct

import pytest

from maestro.field.embedding import DIMS, HashedEmbedder

TREMOR = "Early warning of volcanic eruptions. Seismic tremor precedes an eruption by hours."
LAVA = "Volcanic tremor before eruptions. Sensors warn early of the eruption."
BREAD = "A recipe for sourdough bread. Flour, water, salt and patience."


def likeness(one: object, other: object) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize("dims", [64, DIMS])
async def test_what_is_about_the_same_is_near_and_what_is_not_is_not(dims: int) -> None:
    tremor, lava, bread = await HashedEmbedder(dims).embed([TREMOR, LAVA, BREAD])
    assert len(tremor) == dims
    assert likeness(tremor, tremor) == pytest.approx(1)
    assert likeness(tremor, lava) > 0.3 > abs(likeness(tremor, bread))


async def test_a_text_that_says_nothing_is_near_to_nothing() -> None:
    (nothing,) = await HashedEmbedder(64).embed(["of the and"])
    assert set(nothing) == {0.0}


async def test_vectors_are_kept_so_they_are_the_same_for_ever() -> None:
    (made,) = await HashedEmbedder(64).embed([TREMOR])
    written = struct.pack("64d", *(round(value, 6) for value in made))
    assert hashlib.sha256(written).hexdigest()[:16] == "da146eea6bde2658"


def test_embedders_that_make_other_vectors_have_other_names() -> None:
    assert HashedEmbedder(64).name != HashedEmbedder(128).name
