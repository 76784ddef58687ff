"""Placed calls in a store: in nobody's hands before they are due, in one pair of hands then, there until done."""

from dataclasses import replace

from maestro.ids import CallId, TimeMs
from maestro.pager.placed import Placed
from maestro.runtime.ports import CALLS
from tests.contract.support import World


async def placed(world: World, name: str, due_in_ms: int = 0) -> Placed:
    """A call of nobody in particular, in the partition of this test."""
    now_ms = await world.now()
    cid = (await world.birth()).cid
    return Placed(CallId(name), cid, TimeMs(now_ms + due_in_ms), TimeMs(now_ms + 60_000), '{"asked": "é"}')


async def taken(world: World, limit: int = 10, inherit: bool = False) -> list[str]:
    return [one.call_id for one in (await world.backend.placements.take(world.partition, limit, inherit)).calls]


async def test_a_placed_call_is_taken_once_as_it_was_placed(world: World) -> None:
    call, placements = await placed(world, "a"), world.backend.placements
    assert await placements.place(call)
    assert not await placements.place(replace(call, until_ms=TimeMs(call.until_ms + 5)))
    assert await world.backend.signals.wait(CALLS, 1_000)
    look = await placements.take(world.partition, 10)
    assert look.calls == (replace(call, until_ms=TimeMs(call.until_ms + 5)),)
    assert look.next_due_ms is None
    assert not await placements.place(call)
    assert await taken(world) == []


async def test_nobody_takes_a_call_before_it_is_due(world: World) -> None:
    placements = world.backend.placements
    await placements.place(await placed(world, "later", due_in_ms=60_000))
    await placements.place(await placed(world, "now"))
    look = await placements.take(world.partition, 10)
    assert [one.call_id for one in look.calls] == ["now"]
    assert look.next_due_ms is not None
    assert 50_000 < look.next_due_ms - look.now_ms <= 60_000
    await world.backend.steering.advance(60_000)
    assert await taken(world) == ["later"]


async def test_those_due_for_longest_are_taken_first_and_no_more_than_asked_for(world: World) -> None:
    for name, due_in_ms in (("third", 0), ("first", -20_000), ("second", -10_000)):
        await world.backend.placements.place(await placed(world, name, due_in_ms))
    assert [await taken(world, limit=2), await taken(world, limit=2)] == [["first", "second"], ["third"]]


async def test_what_a_dead_pager_had_taken_is_taken_over_what_is_done_is_not(world: World) -> None:
    calls = [await placed(world, name) for name in ("answered", "under way", "waiting")]
    for call in calls:
        await world.backend.placements.place(call)
    assert len(await taken(world, limit=2)) == 2
    await world.backend.placements.done(calls[:1])
    await world.backend.placements.done(calls[:1])
    assert sorted(await taken(world, inherit=True)) == ["under way", "waiting"]
    assert await taken(world) == []


async def test_a_call_that_is_done_may_be_placed_again(world: World) -> None:
    call = await placed(world, "a")
    await world.backend.placements.place(call)
    await world.backend.placements.done([call])
    assert await world.backend.placements.place(call)
    assert await taken(world) == ["a"]
