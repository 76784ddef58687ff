"""The contract of the store: blocks are there once, under their names, until nothing put them for long enough."""

from maestro.continuation.blocks import name_of
from maestro.ids import Partition, TimeMs
from maestro.tick.blocks import KEPT_MS, Keeper
from tests.contract.support import World

LARGE = {name_of(body): body for body in (bytes([65 + n]) * 300_000 for n in range(5))}
SMALL = {name_of(body): body for body in (b"\x00\xff not text", b"{}")}


async def test_what_is_put_is_got_and_the_rest_is_not(world: World) -> None:
    cid = await world.root()
    await world.backend.blocks.put(cid, {**LARGE, **SMALL})
    await world.backend.blocks.put(cid, SMALL)
    asked = [*SMALL, *LARGE, "0" * 64]
    assert await world.backend.blocks.get(cid, asked) == {**SMALL, **LARGE}
    assert await world.backend.blocks.get(cid, []) == {}


async def test_blocks_belong_to_a_partition(world: World) -> None:
    cid = await world.root()
    await world.backend.blocks.put(cid, SMALL)
    now = await world.backend.clock.now_ms()
    names = [await world.backend.blocks.names(Partition(n), TimeMs(now + 1)) for n in range(world.backend.partitions)]
    assert sorted(map(len, names)) == [0] * (world.backend.partitions - 1) + [len(SMALL)]


async def test_only_what_was_not_put_for_long_enough_is_swept(world: World) -> None:
    cid = await world.root()
    blocks, partition = world.backend.blocks, world.partition
    old, renewed = SMALL
    await blocks.put(cid, SMALL)
    later = await world.advance(1_000)
    await blocks.put(cid, {renewed: SMALL[renewed]})
    assert await blocks.names(partition, later) == [old]
    assert await blocks.drop(partition, [old, renewed, "0" * 64], later) == 1
    assert await blocks.drop(partition, [], later) == 0
    assert await blocks.get(cid, list(SMALL)) == {renewed: SMALL[renewed]}


async def test_a_keeper_puts_again_only_after_a_while(world: World) -> None:
    cid = await world.root()
    blocks, keeper = world.backend.blocks, Keeper(world.backend.blocks)
    now = await world.backend.clock.now_ms()
    await keeper.keep(cid, SMALL, now)
    await blocks.drop(world.partition, list(SMALL), TimeMs(now + 60_000))
    await keeper.keep(cid, SMALL, TimeMs(now + KEPT_MS))
    assert await keeper.fetch(cid, list(SMALL)) == {}, "it remembers"
    await keeper.keep(cid, SMALL, TimeMs(now + KEPT_MS + 1))
    assert await keeper.fetch(cid, list(SMALL)) == SMALL
