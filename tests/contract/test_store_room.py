"""Room for what tools return: counted once per content and family, refused by name beyond, free again when swept."""

import asyncio

import pytest

from maestro.errors import ContinuationNotFoundError
from maestro.ids import ContinuationId
from maestro.runtime.artifacts import room_used
from maestro.tools.room import LOOKED_MS, SPARED_MS, RoomLimits, RoomUse
from tests.contract.support import World, money

MUCH = 1_000_000


def limits(family: int = 100, tenant: int = MUCH) -> RoomLimits:
    return RoomLimits(family, tenant)


async def test_a_content_is_counted_once_in_its_family_and_what_is_beyond_is_refused(world: World) -> None:
    room, cid = world.backend.room, await world.root()
    assert (await room.take(cid, "a" * 64, 60, limits())).granted
    assert (await room.take(cid, "a" * 64, 60, limits())).family_bytes == 60
    refused = await room.take(cid, "b" * 64, 41, limits())
    assert (refused.granted, refused.family_bytes) == (False, 60)
    assert (await room.take(cid, "b" * 64, 40, limits())).family_bytes == 100
    assert (await room.take(cid, "a" * 64, 60, limits(1))).granted, "what is there already asks for nothing"


async def test_what_may_be_done_only_once_is_counted_in_any_case(world: World) -> None:
    room, cid = world.backend.room, await world.root()
    assert (await room.take(cid, "a" * 64, 150, limits(), anyhow=True)).family_bytes == 150
    assert not (await room.take(cid, "b" * 64, 1, limits())).granted


async def test_a_child_is_of_its_familys_room_and_another_root_has_its_own(world: World) -> None:
    room, backend = world.backend.room, world.backend
    parent, (child,) = await world.family(money(usd=10), money(usd=1))
    await room.take(parent, "a" * 64, 90, limits())
    assert not (await room.take(child, "b" * 64, 20, limits())).granted
    assert (await room.take(child, "a" * 64, 90, limits())).granted
    other = await world.root()  # of the same partition as all that a World makes
    assert (await room.take(other, "b" * 64, 90, limits())).family_bytes == 90
    share = 150 * backend.partitions
    assert not (await room.take(other, "c" * 64, 10, limits(MUCH, share))).granted, "two families are a tenant's"


async def test_what_is_used_is_told_of_all_families_together_and_less_what_was_swept(world: World) -> None:
    backend, cid, other = world.backend, await world.root(), await world.root()
    room = backend.room
    assert await room.used(world.partition) == RoomUse()
    for keeper, name, size in ((cid, "a", 60), (cid, "b", 30), (other, "b", 30), (other, "c", 5)):
        await room.take(keeper, name * 64, size, limits())
    assert await room.used(world.partition) == RoomUse(95, 3)
    await backend.blocks.put(cid, {"a" * 64: b"x" * 60})
    await world.advance(SPARED_MS + LOOKED_MS + 1)
    share = 96 * backend.partitions
    assert (await room.take(other, "d" * 64, 10, limits(MUCH, share))).granted
    assert await room.used(world.partition) == RoomUse(70, 2)
    assert await room_used(backend) == RoomUse(70, 2)


async def test_of_many_that_ask_at_once_no_more_are_granted_than_there_is_room(world: World) -> None:
    room, cid = world.backend.room, await world.root()
    asked = await asyncio.gather(*(room.take(cid, f"{n:064}", 30, limits()) for n in range(10)))
    assert sum(each.granted for each in asked) == 3


async def test_what_was_swept_is_room_again_a_day_after_it_was_asked_for(world: World) -> None:
    backend, cid = world.backend, await world.root()
    room = backend.room
    await backend.blocks.put(cid, {"b" * 64: b"x" * 50})
    for name in ("a", "b"):
        await room.take(cid, name * 64, 50, limits())
    assert not (await room.take(cid, "c" * 64, 50, limits())).granted, "what is not there yet is about to be written"
    await world.advance(SPARED_MS + LOOKED_MS + 1)
    granted = await room.take(cid, "c" * 64, 50, limits())
    assert (granted.granted, granted.family_bytes) == (True, 100)
    assert not (await room.take(cid, "d" * 64, 1, limits())).granted, "what is there stays counted"


async def test_nobody_has_room_who_is_not_there(world: World) -> None:
    cid = await world.root()
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.room.take(ContinuationId(f"nobody-{cid.rsplit('-', 1)[1]}"), "a" * 64, 1, limits())
