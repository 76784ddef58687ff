"""Streamed answers in a store: pieces in their order, an edition at a time, so many at most, gone with the answer."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from maestro.ids import CallId
from maestro.pager.pieces import PIECE_BYTES_KEPT, PIECES_KEPT, Kept, Writing
from maestro.tick.store import Adopted
from tests.contract.support import World, batch_of, finish, intent, money, tick_end

FREE = money()


async def writing(world: World, ordinal: int = 0) -> tuple[Writing, Adopted]:
    """A call whose tick is under way, and the tick."""
    await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(ordinal, money(usd=10))
    await world.backend.store.record(adopted.cid, adopted.epoch, entry, batch_of(adopted))
    return Writing(adopted.cid, ordinal, entry.call_id), adopted


async def read(world: World, of: Writing, after: int = 0, limit: int = 10_000) -> Sequence[Kept]:
    return await world.backend.pieces.read(of.cid, of.call_id, after, limit)


async def answered(world: World, of: Writing, failed: bool = False) -> None:
    await world.backend.journals.settle(of.cid, of.ordinal, of.call_id, {"content": "all"}, failed, FREE)


async def test_pieces_are_read_in_their_order_from_any_place(world: World) -> None:
    of, _ = await writing(world)
    pieces = world.backend.pieces
    assert await pieces.begin(of, "nothing was told") == 1
    assert await pieces.add(of, 1, ["ab", "ö "])
    assert await pieces.add(of, 1, ["\x00c"])
    assert await read(world, of) == [Kept(1, 1, 0, "ab"), Kept(2, 1, 2, "ö "), Kept(3, 1, 4, "\x00c")]
    assert [kept.number for kept in await read(world, of, after=1, limit=1)] == [2]
    assert await read(world, of, after=3) == []


async def test_a_new_edition_says_that_what_was_told_is_void_and_closes_the_one_before(world: World) -> None:
    of, _ = await writing(world)
    pieces = world.backend.pieces
    await pieces.begin(of, "")
    await pieces.add(of, 1, ["half a word"])
    assert await pieces.begin(of, "it broke off") == 2
    assert not await pieces.add(of, 1, ["from the dead"])
    assert await pieces.add(of, 2, ["anew"])
    assert await read(world, of, after=1) == [Kept(2, 2, 0, because="it broke off"), Kept(3, 2, 0, "anew")]


async def test_an_edition_of_which_nothing_was_told_leaves_no_trace(world: World) -> None:
    of, _ = await writing(world)
    assert [await world.backend.pieces.begin(of, "why") for _ in range(2)] == [1, 2]
    assert await read(world, of) == []


async def test_so_many_pieces_are_kept_the_newest(world: World) -> None:
    of, _ = await writing(world)
    await world.backend.pieces.begin(of, "")
    await world.backend.pieces.add(of, 1, ["x"] * (PIECES_KEPT + 3))
    kept = await read(world, of)
    assert (len(kept), kept[0]) == (PIECES_KEPT, Kept(4, 1, 3, "x"))
    assert (await read(world, of, after=2, limit=2))[0].number == 4


async def test_so_many_bytes_are_kept_and_the_newest_piece_however_long(world: World) -> None:
    of, _ = await writing(world)
    await world.backend.pieces.begin(of, "")
    half = "é" * (PIECE_BYTES_KEPT // 4)
    await world.backend.pieces.add(of, 1, [half, half])
    assert len(await read(world, of)) == 2
    await world.backend.pieces.add(of, 1, ["x"])
    assert [kept.number for kept in await read(world, of)] == [2, 3]
    await world.backend.pieces.add(of, 1, ["y" * (PIECE_BYTES_KEPT + 1)])
    assert [kept.number for kept in await read(world, of)] == [4]


@pytest.mark.parametrize("failed", [False, True])
async def test_pieces_are_gone_when_the_outcome_is_journaled_and_none_come_after(world: World, failed: bool) -> None:
    of, adopted = await writing(world)
    other = intent(1, money(usd=10))
    await world.backend.store.record(adopted.cid, adopted.epoch, other, batch_of(adopted))
    beside = Writing(adopted.cid, 1, other.call_id)
    for one in (of, beside):
        await world.backend.pieces.begin(one, "")
        await world.backend.pieces.add(one, 1, ["told"])
    await answered(world, of, failed)
    assert await read(world, of) == []
    assert not await world.backend.pieces.add(of, 1, ["late"])
    assert await world.backend.pieces.begin(of, "") == 0
    assert [kept.text for kept in await read(world, beside)] == ["told"]


@pytest.mark.parametrize("ends", [False, True])
async def test_pieces_are_gone_with_the_tick_that_wanted_the_answer(world: World, ends: bool) -> None:
    of, adopted = await writing(world)
    await world.backend.pieces.begin(of, "")
    await world.backend.pieces.add(of, 1, ["told"])
    await world.backend.store.commit(finish(adopted) if ends else tick_end(adopted))
    assert await read(world, of) == []
    assert await world.backend.pieces.begin(of, "") == 0


async def test_pieces_stay_when_the_tick_sleeps_on_its_call(world: World) -> None:
    of, adopted = await writing(world)
    await world.backend.pieces.begin(of, "")
    await world.backend.pieces.add(of, 1, ["told"])
    await world.backend.store.commit(tick_end(adopted, keep_journal=True))
    assert await world.backend.pieces.add(of, 1, [" on"])
    assert [kept.text for kept in await read(world, of)] == ["told", " on"]


async def test_nothing_is_told_of_a_call_that_nobody_has_asked_for(world: World) -> None:
    of, _ = await writing(world)
    stranger = replace(of, call_id=CallId("call-of-nobody"))
    assert await world.backend.pieces.begin(stranger, "") == 0
    assert not await world.backend.pieces.add(of, 1, ["before it began"])
    assert await read(world, stranger) == []
