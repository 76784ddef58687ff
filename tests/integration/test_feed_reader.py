"""One fetch against servers that do their worst."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from maestro.adapters.feeds.reader import FeedLimits
from maestro.errors import FeedError
from maestro.ids import TimeMs
from maestro.mesh.source import Document, Fetched, NotModified
from maestro.mesh.web import WebLimits
from tests.integration.feed_support import Script, answering, head, reading, serving

NOW = TimeMs(1_795_000_000_000)
FEED = b"<rss version='2.0'><channel><item><title>One</title><guid>1</guid></item></channel></rss>"
LIMITS = FeedLimits(WebLimits(deadline_ms=30_000, max_bytes=100_000))


async def fetch(script: Script, limits: FeedLimits = LIMITS, etag: str | None = None) -> Fetched:
    async with serving(script) as url, reading(limits) as reader:
        return await reader.fetch(url, etag, None, NOW)


async def fault(script: Script, limits: FeedLimits = LIMITS) -> FeedError:
    with pytest.raises(FeedError) as caught:
        await fetch(script, limits)
    return caught.value


async def test_a_feed_is_read_with_its_validators() -> None:
    read = await fetch(answering(FEED, 'ETag: W/"7"', "Last-Modified: Mon, 02 Mar 2026 00:00:00 GMT"))
    assert isinstance(read, Document)
    assert [item.title for item in read.items] == ["One"]
    assert (read.etag, read.last_modified, read.status) == ('W/"7"', "Mon, 02 Mar 2026 00:00:00 GMT", 200)


async def test_validators_are_sent_and_their_answer_understood() -> None:
    seen: list[bytes] = []

    async def script(request: bytes) -> AsyncIterator[bytes]:
        seen.append(request.lower())
        yield head(status="304 Not Modified")

    async with serving(script) as url, reading(LIMITS) as reader:
        assert await reader.fetch(url, '"x"', "Mon, 02 Mar 2026 00:00:00 GMT", NOW) == NotModified()
    assert b'if-none-match: "x"\r\n' in seen[0]
    assert b"if-modified-since: mon, 02 mar 2026 00:00:00 gmt\r\n" in seen[0]


async def test_word_that_nothing_changed_is_a_fault_where_nobody_asked() -> None:
    error = await fault(answering(b"", status="304 Not Modified"))
    assert error.facts["reason"] == "http_304"


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content", "404 Not Found", "410 Gone", "503 Busy"])
async def test_any_status_but_a_whole_document_is_a_fault_of_that_name(status: str) -> None:
    error = await fault(answering(b"", status=status))
    assert error.facts["reason"] == f"http_{status[:3]}"
    assert error.facts["status"] == int(status[:3])


@pytest.mark.parametrize(
    ("headers", "retry_after_ms"),
    [
        (("Retry-After: 7",), 7_000),
        (("Retry-After: Mon, 02 Mar 2026 00:01:00 GMT", "Date: Mon, 02 Mar 2026 00:00:00 GMT"), 60_000),
        (("Retry-After: Mon, 02 Mar 2026 00:00:00 GMT", "Date: Mon, 02 Mar 2026 00:01:00 GMT"), 0),
        (("Retry-After: Mon, 02 Mar 2026 00:01:00 GMT",), None),
        (("Retry-After: soon",), None),
        (("Retry-After: -7",), None),
        (("Retry-After: " + "9" * 400,), 999_999_999_000),
        ((), None),
    ],
)
async def test_the_time_that_a_server_asks_for_is_handed_on(
    headers: tuple[str, ...], retry_after_ms: int | None
) -> None:
    error = await fault(answering(b"slow down", *headers, status="429 Too Many Requests"))
    assert error.facts["reason"] == "rate_limited"
    assert error.facts["retry_after_ms"] == retry_after_ms


async def test_a_server_that_never_answers_is_cut_off() -> None:
    async def script(_request: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(300)
        yield b""

    assert (await fault(script, FeedLimits(WebLimits(deadline_ms=200)))).facts["reason"] == "timeout"


async def test_a_server_that_trickles_is_cut_off_although_it_never_pauses_for_long() -> None:
    async def script(_request: bytes) -> AsyncIterator[bytes]:
        yield head()
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    assert (await fault(script, FeedLimits(WebLimits(deadline_ms=300)))).facts["reason"] == "timeout"


async def test_a_connection_that_breaks_in_the_middle_is_a_fault() -> None:
    async def script(_request: bytes) -> AsyncIterator[bytes]:
        yield head(f"Content-Length: {len(FEED)}") + FEED[:-20]

    assert (await fault(script)).facts["reason"] == "connection"


async def test_an_answer_that_is_no_http_is_a_fault() -> None:
    async def script(_request: bytes) -> AsyncIterator[bytes]:
        yield b"220 mail.example.org ESMTP\r\n"

    assert (await fault(script)).facts["reason"] == "connection"


async def test_nobody_listening_is_a_fault() -> None:
    async with serving(answering(FEED)) as url:
        pass
    async with reading(LIMITS) as reader:
        with pytest.raises(FeedError) as caught:
            await reader.fetch(url, None, None, NOW)
    assert caught.value.facts["reason"] == "connection"


async def test_a_name_that_nobody_knows_is_a_fault_of_its_own() -> None:
    async with reading(LIMITS) as reader:
        with pytest.raises(FeedError) as caught:
            await reader.fetch("http://no-such-host.invalid/feed", None, None, NOW)
    assert caught.value.facts["reason"] == "dns"


async def test_a_body_that_is_announced_too_large_is_not_even_begun() -> None:
    async def script(_request: bytes) -> AsyncIterator[bytes]:
        yield head("Content-Length: 100001")
        await asyncio.sleep(300)

    error = await fault(script)
    assert (error.facts["reason"], error.facts["status"]) == ("too_large", 200)


async def test_a_body_without_end_and_without_announcement_is_cut_off() -> None:
    sent = 0

    async def script(_request: bytes) -> AsyncIterator[bytes]:
        nonlocal sent
        yield head()
        while True:
            sent += 10_000
            yield b" " * 10_000

    assert (await fault(script)).facts["reason"] == "too_large"
    assert sent < 50_000_000


async def test_a_packed_body_is_unpacked() -> None:
    for encoding, body in (("gzip", gzip.compress(FEED)), ("deflate", zlib.compress(FEED))):
        read = await fetch(answering(body, f"Content-Encoding: {encoding}"))
        assert isinstance(read, Document)
        assert len(read.items) == 1


async def test_a_packed_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < LIMITS.web.max_bytes
    tracemalloc.start()
    error = await fault(answering(bomb, "Content-Encoding: gzip"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.facts["reason"] == "too_large"
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize(
    ("body", "encoding", "word"),
    [
        (gzip.compress(FEED)[:-9], "gzip", "truncated"),
        (FEED, "gzip", "bad_encoding"),
        (FEED, "br", "bad_encoding"),
        (FEED, "gzip, gzip", "bad_encoding"),
    ],
)
async def test_a_body_that_does_not_unpack_is_a_fault(body: bytes, encoding: str, word: str) -> None:
    assert (await fault(answering(body, f"Content-Encoding: {encoding}"))).facts["reason"] == word


async def test_redirects_are_followed_up_to_a_limit() -> None:
    async def script(request: bytes) -> AsyncIterator[bytes]:
        asked = request.split()[1].decode()
        if asked == "/feed" * 5:
            yield head() + FEED
        else:
            yield head(f"Location: {asked}/feed", "Content-Length: 0", status="302 Found")

    assert isinstance(await fetch(script), Document)
    assert (await fault(script, FeedLimits(WebLimits(max_redirects=3)))).facts["reason"] == "redirects"


async def test_the_body_of_a_redirect_is_not_read() -> None:
    async def script(request: bytes) -> AsyncIterator[bytes]:
        if b"GET /moved" in request:
            yield head() + FEED
            return
        yield head("Location: /moved", status="301 Moved Permanently")
        while True:
            yield b" " * 10_000

    assert isinstance(await fetch(script), Document)


@pytest.mark.parametrize(
    "to", ["file:///etc/hostname", "ftp://127.0.0.1/feed", "gopher://127.0.0.1/", "http://me:pw@127.0.0.1/"]
)
async def test_a_redirect_that_leads_astray_is_not_followed(to: str) -> None:
    error = await fault(answering(b"", f"Location: {to}", status="302 Found"))
    assert error.facts["reason"] == "bad_url"


async def test_a_page_in_place_of_the_feed_is_told_with_its_status() -> None:
    error = await fault(answering(b"<html><body>Down</body></html>", "Content-Type: text/html"))
    assert (error.facts["reason"], error.facts["status"]) == ("not_a_feed", 200)


async def test_fetches_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def script(_request: bytes) -> AsyncIterator[bytes]:
        await both.wait()
        yield head() + FEED

    async with serving(script) as url, reading(LIMITS) as reader:
        read = await asyncio.gather(*(reader.fetch(url, None, None, NOW) for _ in range(2)))
    assert all(isinstance(document, Document) for document in read)
