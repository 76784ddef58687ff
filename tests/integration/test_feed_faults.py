"""The feed server beside the repository, with each of its faults: the source lives, says so, loses nothing."""

import itertools
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from maestro.adapters.feeds.poll import poll_once
from maestro.adapters.feeds.reader import FeedLimits, FeedReader
from maestro.adapters.memory.shelf import MemorySources
from maestro.errors import StoreUnavailable
from maestro.ids import TimeMs
from maestro.mesh.source import SourceRecord
from maestro.mesh.web import WebLimits
from tests.integration.feed_support import (
    BROKEN_DAY,
    ArxivServer,
    Shelf,
    days,
    link_of,
    mended,
    papers,
    reading,
    shared,
)

NOW = TimeMs(1_795_000_000_000)
MINUTE = 60_000
ENOUGH_BYTES = 100 * 1024 * 1024
REASONS = {
    "500": "http_500",
    "429": "rate_limited",
    "hang": "timeout",
    "truncated": "truncated",
    "xxe": "entities_refused",
    "bomb": "entities_refused",
    "huge": "too_large",
    "html": "not_a_feed",
}


@dataclass
class Source:
    """One source that is polled by hand, with a real store of records."""

    record: SourceRecord
    reader: FeedReader
    hasty: FeedReader
    now_ms: TimeMs = NOW
    shelf: Shelf = field(default_factory=Shelf)
    records: MemorySources = field(default_factory=MemorySources)

    async def poll(self, fault: str = "none") -> SourceRecord:
        """A poll from the record as it was saved, a minute later; a poll that fails leaves it as it was."""
        reader = self.hasty if fault == "hang" else self.reader
        self.now_ms = TimeMs(self.now_ms + MINUTE)
        before = await self.records.load(self.record.name) or self.record
        return await poll_once(before, reader, self.shelf, self.records, self.now_ms)


@pytest.fixture
def server() -> Iterator[ArxivServer]:
    running = ArxivServer(shared())
    yield running
    running.close()


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[ArxivServer]:
    """The server with its broken line mended: all eleven days can be served."""
    running = ArxivServer(mended(tmp_path))
    yield running
    running.close()


@pytest.fixture
async def readers() -> AsyncIterator[tuple[FeedReader, FeedReader]]:
    """One that waits for a slow machine, and one that has no time for a server that hangs."""
    slow, fast = (FeedLimits(WebLimits(deadline_ms=ms)) for ms in (30_000, 300))
    async with reading(slow) as patient, reading(fast) as hasty:
        yield patient, hasty


def source(url: str, readers: tuple[FeedReader, FeedReader]) -> Source:
    record = SourceRecord(name="arxiv", subject="arxiv.cs.AI", url=url, every_ms=15 * MINUTE)
    return Source(record, *readers)


@pytest.mark.spec("04.4")
@pytest.mark.shows("5.1")
@pytest.mark.parametrize("fault", REASONS)
async def test_the_source_lives_says_what_is_wrong_and_recovers(
    fault: str, server: ArxivServer, readers: tuple[FeedReader, FeedReader]
) -> None:
    feed = source(server.url, readers)
    well = await feed.poll()
    day = papers(shared(), days()[0])
    assert (well.state, well.items_published) == ("ok", len(day))

    server.fault(fault)
    await feed.poll(fault)
    down = await feed.poll(fault)
    assert (down.state, down.failures) == ("degraded", 2)
    assert down.last_error
    assert down.last_error.startswith(f"{REASONS[fault]}: ")
    assert down.next_poll_ms > feed.now_ms
    assert (down.seen, down.etag, down.last_ok_ms) == (well.seen, well.etag, well.last_ok_ms)
    assert feed.shelf.changes == ["source.degraded"]

    server.fault("none")
    assert (await feed.poll()).last_status == 304
    server.advance()
    up = await feed.poll()
    assert (up.state, up.failures, up.last_error) == ("ok", 0, None)
    assert feed.shelf.changes == ["source.degraded", "source.recovered"]
    both = [*day, *papers(shared(), days()[1])]
    assert [item["link"] for item in feed.shelf.items] == [link_of(paper) for paper in both]
    assert feed.shelf.told == len(both) + 2


async def test_the_time_that_a_fault_names_is_honoured(
    server: ArxivServer, readers: tuple[FeedReader, FeedReader]
) -> None:
    feed = source(server.url, readers)
    feed.record = replace_every(feed.record, 1_000)
    server.fault("429")
    assert (await feed.poll()).next_poll_ms == feed.now_ms + 2_000


@pytest.mark.parametrize("fault", REASONS)
async def test_a_source_whose_first_poll_fails_tells_everything_later(
    fault: str, server: ArxivServer, readers: tuple[FeedReader, FeedReader]
) -> None:
    feed = source(server.url, readers)
    server.fault(fault)
    assert (await feed.poll(fault)).state == "degraded"
    assert feed.shelf.items == []
    server.fault("none")
    assert (await feed.poll()).items_published == len(feed.shelf.items) == len(papers(shared(), days()[0]))


@pytest.mark.parametrize("fault", ["bomb", "huge", "truncated"])
async def test_memory_stays_bounded(fault: str, server: ArxivServer, readers: tuple[FeedReader, FeedReader]) -> None:
    feed = source(server.url, readers)
    server.fault(fault)
    before = resident_bytes("VmRSS")
    forget_the_peak()
    tracemalloc.start()
    await feed.poll()
    _, traced = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert resident_bytes("VmHWM") - before < ENOUGH_BYTES
    assert traced < ENOUGH_BYTES


async def test_all_days_with_every_fault_and_a_dying_store_tell_each_item_once(
    whole: ArxivServer, tmp_path: Path, readers: tuple[FeedReader, FeedReader]
) -> None:
    feed = source(whole.url, readers)
    faults = itertools.cycle(REASONS)
    for number, day in enumerate(days()):
        if number:
            assert whole.advance() == day
        whole.fault(fault := next(faults))
        assert (await feed.poll(fault)).state == "degraded"
        whole.fault("none")
        feed.shelf.dies_at, feed.shelf.dies_before = feed.shelf.told + 1 + number % 5, number % 2 == 0
        if len(papers(tmp_path, day)) > number % 5:
            with pytest.raises(StoreUnavailable):
                await feed.poll()
        feed.shelf.dies_at = None
        assert (await feed.poll()).state == "ok"
        assert (await feed.poll()).last_status == 304

    expected = [paper for day in days() for paper in papers(tmp_path, day)]
    assert len(expected) == 283
    told = feed.shelf.items
    assert [item["link"] for item in told] == [link_of(paper) for paper in expected]
    assert [item["title"] for item in told] == [one_line(paper["title"]) for paper in expected]
    assert [item["abstract"] for item in told] == [one_line(paper["abstract"]) for paper in expected]
    assert [item["authors"] for item in told] == [paper["authors"] for paper in expected]
    last = await feed.records.load("arxiv")
    assert last
    assert last.items_published == len(expected)
    assert feed.shelf.changes == ["source.degraded", "source.recovered"] * len(days())


async def test_the_day_that_the_server_itself_cannot_serve_is_a_fault_like_any_other(
    server: ArxivServer, readers: tuple[FeedReader, FeedReader]
) -> None:
    feed = source(server.url, readers)
    expected = []
    for number, day in enumerate(days()):
        if number:
            server.advance()
        state = (await feed.poll()).state
        assert state == ("degraded" if day == BROKEN_DAY else "ok")
        if day != BROKEN_DAY:
            expected += [link_of(paper) for paper in papers(shared(), day)]
    assert [item["link"] for item in feed.shelf.items] == expected
    assert len(expected) == 260


async def test_a_publisher_that_keeps_everything_would_show_a_doubled_item(
    server: ArxivServer, readers: tuple[FeedReader, FeedReader]
) -> None:
    """The check is proved by breaking what it checks: without the memory of what was seen, items are told again."""
    feed = source(server.url, readers)
    first = await feed.poll()
    await feed.records.save(first.model_copy(update={"seen": (), "etag": None, "last_modified": None}))
    await feed.poll()
    assert feed.shelf.told == 2 * first.items_published
    assert len(feed.shelf.items) == first.items_published


def replace_every(record: SourceRecord, every_ms: int) -> SourceRecord:
    return record.model_copy(update={"every_ms": every_ms})


def one_line(text: object) -> str:
    return " ".join(str(text).split())


def forget_the_peak() -> None:
    """VmHWM counts from here (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
