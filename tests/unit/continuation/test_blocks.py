"""Blocks: a ref and its blocks give back what was kept; of what changes little, little is new."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from maestro.continuation.blocks import INLINE_BYTES, kept, kept_text, name_of, names_under, read
from maestro.errors import IntegrityError

PIECES = st.lists(st.text(max_size=40) | st.sampled_from(["x" * 1_500, "ä" * 700, ""]), max_size=60)
LONG = [f"<entry id={number}>{'word ' * (100 + number % 300)}</entry>" for number in range(800)]


class Shelf:
    """Blocks in a dictionary."""

    def __init__(self) -> None:
        self.blocks: dict[str, bytes] = {}

    async def fetch(self, names: Sequence[str]) -> Mapping[str, bytes]:
        return {name: self.blocks[name] for name in names if name in self.blocks}


@given(PIECES)
@settings(deadline=None)
async def test_a_text_comes_back_as_it_was(pieces: list[str]) -> None:
    shelf = Shelf()
    ref = kept_text(pieces, shelf.blocks)
    assert await read(ref, shelf.fetch) == "".join(pieces)
    assert await names_under({"deep": [ref]}, shelf.fetch) == set(shelf.blocks)


@pytest.mark.parametrize("value", [None, {"inline": 1}, {"block": "no name"}, ["x" * 2_000], {"tree": "x" * 2_000}])
async def test_a_value_comes_back_as_it_was_whatever_it_looks_like(value: JsonValue) -> None:
    shelf = Shelf()
    for apart in (False, True):
        assert await read(kept(value, shelf.blocks, apart=apart), shelf.fetch) == value


def test_what_is_small_needs_no_block() -> None:
    blocks: dict[str, bytes] = {}
    assert kept_text(["x" * INLINE_BYTES], blocks) == {"inline": "x" * INLINE_BYTES}
    assert kept({"a": 1}, blocks) == {"inline": {"a": 1}}
    assert not blocks
    kept_text(["x" * (INLINE_BYTES + 1)], blocks)
    assert len(blocks) == 2, "the text, and the node that it hangs on"


@pytest.mark.parametrize("place", [0, 399, 799])
def test_one_changed_piece_of_a_long_text_costs_a_few_blocks_wherever_it_is(place: int) -> None:
    before: dict[str, bytes] = {}
    after: dict[str, bytes] = {}
    kept_text(LONG, before)
    kept_text([*LONG[:place], "<entry id=new>" + "new " * 300, *LONG[place:]], after)
    new = {name: body for name, body in after.items() if name not in before}
    assert sum(map(len, after.values())) > 800_000
    assert len(new) < 8
    assert sum(map(len, new.values())) < 12_000


async def test_a_missing_and_a_changed_block_are_named() -> None:
    shelf = Shelf()
    ref = kept_text(LONG, shelf.blocks)
    for name in list(shelf.blocks)[::50]:
        body = shelf.blocks.pop(name)
        with pytest.raises(IntegrityError, match=f"block {name} is missing"):
            await read(ref, shelf.fetch)
        shelf.blocks[name] = body[:-1] + bytes([body[-1] ^ 1])
        with pytest.raises(IntegrityError, match=f"block {name} was changed"):
            await names_under(ref, shelf.fetch)
        shelf.blocks[name] = body


async def test_what_is_no_ref_is_refused() -> None:
    with pytest.raises(IntegrityError, match="is no ref"):
        await read({"else": 1}, Shelf().fetch)


def test_a_name_is_the_sha_256_of_the_bytes() -> None:
    assert name_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
