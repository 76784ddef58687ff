"""The loop of a source on a virtual clock, against the demo's own feed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from maestro.adapters.feeds.loop import FeedLoop
from maestro.adapters.feeds.reader import FeedLimits
from maestro.adapters.memory.shelf import MemorySources
from maestro.cli.demo.feed import DemoFeed
from maestro.clock import ManualClock
from maestro.errors import NotFound, StoreUnavailable
from maestro.mesh.source import SourceRecord
from maestro.mesh.web import WebLimits
from tests.integration.feed_support import Shelf, reading

MINUTE = 60_000
EVERY_MS = 15 * MINUTE
WITHIN_S = 30.0


@dataclass
class Ports:
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_795_000_000_000))
    publisher: Shelf = field(default_factory=Shelf)
    sources: MemorySources = field(default_factory=MemorySources)

    async def record(self) -> SourceRecord:
        found = await self.sources.load("demo")
        assert found
        return found


@pytest.fixture
def feed() -> Iterator[DemoFeed]:
    with DemoFeed() as running:
        yield running


@pytest.fixture
async def ports(feed: DemoFeed) -> Ports:
    ports = Ports()
    await ports.sources.save(SourceRecord(name="demo", subject="demo.papers", url=feed.url, every_ms=EVERY_MS))
    return ports


@pytest.fixture
async def loop(ports: Ports) -> AsyncIterator[FeedLoop]:
    async with reading(FeedLimits(WebLimits(deadline_ms=30_000))) as reader:
        yield FeedLoop("demo", reader, ports)


@pytest.fixture
async def running(loop: FeedLoop) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(loop.run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def eventually(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not look():  # noqa: ASYNC110 - what is looked at has no event to wait for
            await asyncio.sleep(0.005)


async def test_a_feed_is_polled_when_it_is_due_and_not_before(
    feed: DemoFeed, ports: Ports, running: asyncio.Task[None]
) -> None:
    await eventually(lambda: len(ports.publisher.items) == 8)
    ports.clock.advance(EVERY_MS - 1)
    due_ms = ports.clock.advance(1)
    await asyncio.wait_for(until(ports, lambda record: record.last_status == 304), WITHIN_S)
    assert feed.counts() == {"documents": 1, "not_modified": 1}
    assert (await ports.record()).last_ok_ms == due_ms


async def test_three_weeks_of_days_are_told_as_they_come(
    feed: DemoFeed, ports: Ports, running: asyncio.Task[None]
) -> None:
    for number in range(1, len(feed.days) + 1):
        await eventually(lambda: len(ports.publisher.items) == 8 * number)  # noqa: B023 - looked at within this round
        feed.advance()
        ports.clock.advance(4 * 24 * 60 * MINUTE)
    assert [item["link"] for item in ports.publisher.items] == [paper.link for day in feed.days for paper in day.items]


async def test_a_poll_may_be_asked_for_at_any_time(feed: DemoFeed, ports: Ports, loop: FeedLoop) -> None:
    assert (await loop.poll_now()).items_published == 8
    feed.advance()
    assert (await loop.poll_now()).items_published == 16


async def test_polls_of_one_feed_never_run_side_by_side(feed: DemoFeed, ports: Ports, loop: FeedLoop) -> None:
    await asyncio.gather(*(loop.poll_now() for _ in range(5)))
    assert feed.counts() == {"documents": 1, "not_modified": 4}
    assert ports.publisher.told == 8


async def test_a_loop_that_was_killed_goes_on_elsewhere_where_the_record_stands(
    feed: DemoFeed, ports: Ports, loop: FeedLoop, running: asyncio.Task[None]
) -> None:
    await eventually(lambda: len(ports.publisher.items) == 8)
    running.cancel()
    async with reading() as reader:
        elsewhere = asyncio.create_task(FeedLoop("demo", reader, ports).run())
        feed.advance()
        ports.clock.advance(EVERY_MS)
        await eventually(lambda: len(ports.publisher.items) == 16)
        elsewhere.cancel()
    assert ports.publisher.told == 16


async def test_a_source_that_is_removed_ends_its_loop(ports: Ports, running: asyncio.Task[None]) -> None:
    await eventually(lambda: len(ports.publisher.items) == 8)
    await ports.sources.remove("demo")
    ports.clock.advance(EVERY_MS)
    async with asyncio.timeout(WITHIN_S):
        await running


async def test_to_poll_a_source_that_is_not_there_is_an_error_that_says_so(ports: Ports, loop: FeedLoop) -> None:
    await ports.sources.remove("demo")
    with pytest.raises(NotFound):
        await loop.poll_now()


async def test_a_store_that_does_not_answer_is_asked_again(
    ports: Ports, loop: FeedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.adapters.feeds.loop.STORE_RETRY_S", 0.01)
    ports.publisher.dies_at = 3
    task = asyncio.create_task(loop.run())
    await eventually(lambda: len(ports.publisher.items) == 8)
    task.cancel()
    assert ports.publisher.told == 3 + 8
    assert (await ports.record()).state == "ok"


async def test_a_store_that_fails_while_one_asks_is_told_to_who_asked(ports: Ports, loop: FeedLoop) -> None:
    ports.publisher.dies_at = 1
    with pytest.raises(StoreUnavailable):
        await loop.poll_now()
    assert (await ports.record()).state == "new"


async def test_a_feed_that_is_gone_is_tried_again_with_growing_pauses(
    feed: DemoFeed, ports: Ports, loop: FeedLoop, running: asyncio.Task[None]
) -> None:
    await eventually(lambda: len(ports.publisher.items) == 8)
    port = int(feed.url.split(":")[2].split("/")[0])
    feed.close()
    for failures in (1, 2, 3):
        ports.clock.advance(EVERY_MS)
        await asyncio.wait_for(until(ports, partial(failed, failures)), WITHIN_S)
    with DemoFeed(port) as again:
        ports.clock.advance(EVERY_MS)
        await eventually(lambda: again.counts() == {"not_modified": 1})
        await eventually(lambda: ports.publisher.changes == ["source.degraded", "source.recovered"])


def failed(times: int, record: SourceRecord) -> bool:
    return record.failures >= times


async def until(ports: Ports, holds: Callable[[SourceRecord], bool]) -> None:
    while not holds(await ports.record()):  # noqa: ASYNC110 - a record has no event to wait for
        await asyncio.sleep(0.005)
