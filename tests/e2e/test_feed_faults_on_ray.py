"""A real source actor reads the feed server beside the repository through faults and a day that it cannot serve."""

from collections import Counter
from collections.abc import Iterator

import pytest

from maestro.mesh.source import SourceRecord
from tests.e2e.support import Site, eventually
from tests.integration.feed_support import BROKEN_DAY, ArxivServer, days, link_of, papers, shared
from tests.integration.test_feed_faults import REASONS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SUBJECT, NAME = "faulty.papers", "faulty-papers"
A_WHILE_MS = 3_600_000
FAULTS = ("500", "truncated", "bomb")


@pytest.fixture(scope="module")
def server(shared_site: Site) -> Iterator[ArxivServer]:
    running = ArxivServer(shared())
    shared_site.tell("sources", "--add", f"{SUBJECT}={running.url}", "--every-s", "1")
    yield running
    shared_site.tell("sources", "--remove", NAME)
    running.close()


def becomes(here: Site, state: str) -> SourceRecord:
    """The record of the source as soon as it is in that state; the clock is moved over its back-off."""

    def look() -> SourceRecord | None:
        record = here.source(NAME)
        if record is not None and record.state != state and record.next_poll_ms - here.now_ms() > 1_000:
            here.advance(A_WHILE_MS)
        return record

    found = eventually(look, lambda record: record is not None and record.state == state)
    assert found is not None
    return found


def links(day: str) -> list[str]:
    return [link_of(paper) for paper in papers(shared(), day)]


def published(here: Site) -> Counter[str]:
    """Link -> how often it was published."""
    return Counter(event["payload"]["link"] for event in here.tell("events", SUBJECT, "--limit", "5000"))


def test_the_source_lives_says_what_is_wrong_and_loses_nothing(shared_site: Site, server: ArxivServer) -> None:
    becomes(shared_site, "ok")
    pids = shared_site.actors(f"source/{NAME}")
    expected = links(days()[0])
    for day, fault in zip(days()[1:], FAULTS, strict=False):
        server.fault(fault)
        assert server.advance() == day
        down = becomes(shared_site, "degraded")
        assert (down.last_error or "").startswith(f"{REASONS[fault]}: ")
        (row,) = [row for row in shared_site.tell("sources") if row["name"] == NAME]
        assert (row["state"], row["last_error"]) == ("degraded", down.last_error)
        server.fault("none")
        becomes(shared_site, "ok")
        expected += links(day)
    assert published(shared_site) == Counter(expected)
    assert shared_site.actors(f"source/{NAME}") == pids


def test_over_the_day_that_the_server_cannot_serve_it_degrades_and_recovers(
    shared_site: Site, server: ArxivServer
) -> None:
    expected = Counter(published(shared_site))
    while (day := server.advance()) != BROKEN_DAY:
        expected.update(links(day))
        eventually(lambda: published(shared_site), lambda told: told == expected)
    assert becomes(shared_site, "degraded").last_error
    expected.update(links(server.advance()))
    becomes(shared_site, "ok")
    assert published(shared_site) == expected
