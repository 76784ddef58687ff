"""Who is next: by tier, and nobody starves."""

import asyncio
from contextlib import AsyncExitStack

from maestro.pager.lanes import YIELDS, Lanes
from maestro.policy.gradient import Tier


async def served(lanes: Lanes, order: list[str], name: str, tier: Tier) -> None:
    async with lanes.slot(tier):
        order.append(name)


async def queued(lanes: Lanes, order: list[str], *waiting: tuple[str, Tier]) -> list[asyncio.Task[None]]:
    """Tasks that wait in that order of arrival."""
    tasks = []
    for name, tier in waiting:
        tasks.append(asyncio.create_task(served(lanes, order, name, tier)))
        await asyncio.sleep(0)
    return tasks


async def test_opus_goes_before_sonnet_before_haiku_and_equals_in_their_order():
    lanes, order = Lanes(1), list[str]()
    async with lanes.slot(Tier.HAIKU):
        tasks = await queued(
            lanes,
            order,
            ("h1", Tier.HAIKU),
            ("s", Tier.SONNET),
            ("h2", Tier.HAIKU),
            ("o1", Tier.OPUS),
            ("o2", Tier.OPUS),
        )
        assert (order, lanes.waiting) == ([], 5)
    await asyncio.gather(*tasks)
    assert order == ["o1", "o2", "s", "h1", "h2"]


async def test_a_call_is_overtaken_so_often_and_no_oftener_however_many_come():
    lanes, order = Lanes(1), list[str]()
    async with lanes.slot(Tier.OPUS):
        later = [(f"o{n}", Tier.OPUS) for n in range(3 * YIELDS[Tier.HAIKU])]
        tasks = await queued(lanes, order, ("haiku", Tier.HAIKU), *later)
    await asyncio.gather(*tasks)
    assert order.index("haiku") == YIELDS[Tier.HAIKU]


async def test_no_more_are_under_way_than_there_are_slots():
    lanes, order = Lanes(2), list[str]()
    async with AsyncExitStack() as held:
        await held.enter_async_context(lanes.slot(Tier.HAIKU))
        await held.enter_async_context(lanes.slot(Tier.HAIKU))
        (third,) = await queued(lanes, order, ("third", Tier.OPUS))
        assert not third.done()
    await third
    assert order == ["third"]


async def test_who_gives_up_waiting_takes_no_slot_along():
    lanes, order = Lanes(1), list[str]()
    async with lanes.slot(Tier.HAIKU):
        gone, stays = await queued(lanes, order, ("gone", Tier.OPUS), ("stays", Tier.HAIKU))
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    await stays
    async with lanes.slot(Tier.HAIKU):
        assert order == ["stays"]


async def test_who_is_cancelled_with_the_slot_in_hand_gives_it_back():
    lanes, order = Lanes(1), list[str]()
    async with lanes.slot(Tier.HAIKU):
        (chosen,) = await queued(lanes, order, ("chosen", Tier.OPUS))
    chosen.cancel()
    await asyncio.gather(chosen, return_exceptions=True)
    async with lanes.slot(Tier.HAIKU):
        assert order == []
