"""The publisher: many at once go in few batches, in their order, and each is told what became of it."""

import asyncio
from collections.abc import Sequence

from maestro.errors import StoreUnavailable
from maestro.ids import Partition, TimeMs
from maestro.mesh.event import Event, new_event
from maestro.mesh.source import Published
from maestro.runtime.ports import Routed
from maestro.runtime.publisher import AT_ONCE, MeshPublisher

MANY = 2 * AT_ONCE + 10


def event(number: int) -> Event:
    return new_event("a.b", "t", "source.a", str(number), None, TimeMs(1))


class Counting:
    """A router that takes its time, fails where it is told to, and sees how many are under way."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.batches: list[list[str]] = []
        self.most_under_way = 0
        self._under_way = 0
        self._fails_at = fails_at

    async def route_all(
        self, events: Sequence[Event], partition: Partition, forward_to: Sequence[Partition] = ()
    ) -> Sequence[Routed]:
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        self.batches.append([each.key for each in events])
        await asyncio.sleep(0)
        self._under_way -= 1
        if len(self.batches) == self._fails_at:
            raise StoreUnavailable("away", hint="wait")
        return [Routed(duplicate=False, matched=int(each.key)) for each in events]


async def outcomes(router: Counting) -> list[Published | BaseException]:
    publisher = MeshPublisher(router, 1)  # type: ignore[arg-type]  # of a router it uses this alone
    return await asyncio.gather(*(publisher.publish(event(n)) for n in range(MANY)), return_exceptions=True)


async def test_a_flood_goes_in_batches_one_after_the_other_and_in_its_order() -> None:
    told = await outcomes(router := Counting())
    assert [each.matched for each in told if isinstance(each, Published)] == list(range(MANY))
    assert [key for batch in router.batches for key in batch] == [str(n) for n in range(MANY)]
    assert (max(map(len, router.batches)), router.most_under_way) == (AT_ONCE, 1)


async def test_what_fails_is_told_to_those_whom_it_befell_and_the_next_go_on() -> None:
    told = await outcomes(router := Counting(fails_at=2))
    failed = [str(n) for n, each in enumerate(told) if isinstance(each, StoreUnavailable)]
    assert failed == router.batches[1]
    assert sum(isinstance(each, Published) for each in told) == MANY - len(failed)


async def test_one_who_waits_no_more_is_in_nobodys_way() -> None:
    publisher = MeshPublisher(Counting(), 1)  # type: ignore[arg-type]  # as above
    waiting = [asyncio.create_task(publisher.publish(event(n))) for n in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [Published, asyncio.CancelledError, Published]
    assert (await publisher.publish(event(9))).matched == 9


async def test_what_ends_the_carrying_ends_the_waiting_and_the_next_is_carried_anew() -> None:
    publisher = MeshPublisher(Counting(), 1)  # type: ignore[arg-type]  # as above
    waiting = [asyncio.create_task(publisher.publish(event(n))) for n in range(MANY)]
    await asyncio.sleep(0)
    lane = publisher._lanes[Partition(0)]
    assert lane.carrying is not None
    await asyncio.sleep(0)
    lane.carrying.cancel()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in told} == {asyncio.CancelledError}
    assert (await publisher.publish(event(9))).matched == 9
