"""One conditional GET of a feed, bounded in time, bytes, redirects and memory whatever the server does.

Invariants:
- a fetch ends within its deadline, counted over all of it: a server that trickles a byte a second is cut off as well;
- no more than `max_bytes` of the decoded document are ever held, so that a compressed bomb stays small;
- every failure is a FeedError whose facts say `reason` (one word), `status` and `retry_after_ms` where the server told;
- a body is used whole or not at all.

What is not here: retries and back-off. They are decided by whoever polls (mesh/source.py), from the record.
Reasons: http_STATUS, rate_limited, timeout, dns, tls, connection, redirects, bad_url, bad_encoding, too_large,
and those of document.py.

Source: spec/04 section 4; PROMISES B65, B72, B73, F77.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx

from maestro.adapters.feeds import document
from maestro.adapters.feeds.document import refusal
from maestro.errors import FeedError, InvalidInput
from maestro.ids import TimeMs
from maestro.mesh.source import Document, Fetched, NotModified, check_url

USER_AGENT = "maestro-feeds/1 (+https://example.org/maestro)"
ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"
MAX_VALIDATOR_CHARS = 1_024
GZIP_OR_ZLIB = 47  # zlib's word for "see by the header which of the two"


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """What one fetch may cost."""

    deadline_ms: int = 30_000
    max_bytes: int = 10 * 1024 * 1024
    max_redirects: int = 5
    max_items: int = 5_000


class FeedReader:
    """Fetches feeds over HTTP; one per process is enough, fetches may run side by side."""

    def __init__(self, limits: FeedLimits | None = None) -> None:
        self._limits = limits or FeedLimits()
        headers = {"User-Agent": USER_AGENT, "Accept": ACCEPT, "Accept-Encoding": "gzip"}
        # Redirects are followed here, not by httpx: it would read the body of each redirect without a limit.
        each_s = self._limits.deadline_ms / 1000
        self._client = httpx.AsyncClient(headers=headers, follow_redirects=False, timeout=each_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Connections are closed; the reader is of no more use."""
        await self._client.aclose()

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        """The document at `url`, or word that it is the one whose validators are given.

        Raises:
            FeedError: anything else; nothing of what came may be used.
        """
        validators = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        try:
            async with asyncio.timeout(self._limits.deadline_ms / 1000):
                request = self._client.build_request("GET", url, headers={k: v for k, v in validators.items() if v})
                return await self._follow(request, now_ms)
        except TimeoutError:
            raise refusal("timeout", f"no whole answer within {self._limits.deadline_ms} ms") from None
        except httpx.InvalidURL as error:
            raise refusal("bad_url", str(error)) from None
        except httpx.HTTPError as error:
            raise _translated(error) from error

    async def _follow(self, request: httpx.Request, now_ms: TimeMs) -> Fetched:
        conditional = "If-None-Match" in request.headers or "If-Modified-Since" in request.headers
        for _ in range(self._limits.max_redirects + 1):
            response = await self._client.send(request, stream=True)
            try:
                if response.next_request is None:
                    return await self._read(response, conditional, now_ms)
                request = response.next_request
            finally:
                await response.aclose()
            _check_hop(request)
        raise refusal("redirects", f"more than {self._limits.max_redirects} redirects")

    async def _read(self, response: httpx.Response, conditional: bool, now_ms: TimeMs) -> Fetched:
        status = response.status_code
        if status == httpx.codes.NOT_MODIFIED and conditional:
            return NotModified()
        if status != httpx.codes.OK:
            reason = "rate_limited" if status == httpx.codes.TOO_MANY_REQUESTS else f"http_{status}"
            message = f"the server answers {status} {response.reason_phrase}".rstrip()
            raise refusal(reason, message, status=status, retry_after_ms=_retry_after_ms(response.headers))
        body = await self._body(response)
        try:
            items = await asyncio.to_thread(document.parse, body, self._limits.max_items, now_ms)
        except FeedError as error:
            error.facts["status"] = status
            raise
        return Document(items, _validator(response, "ETag"), _validator(response, "Last-Modified"), status)

    async def _body(self, response: httpx.Response) -> bytes:
        limit = self._limits.max_bytes
        stated = response.headers.get("Content-Length", "")
        if stated.isdecimal() and int(stated) > limit:
            raise _too_large(response.status_code, limit)
        body = bytearray()
        async for piece in _decoded(response, limit + 1):
            body += piece
            if len(body) > limit:
                raise _too_large(response.status_code, limit)
        return bytes(body)


async def _decoded(response: httpx.Response, max_piece: int) -> AsyncIterator[bytes]:
    """The body in pieces, none larger than `max_piece`: httpx itself would unpack a bomb whole."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        async for piece in response.aiter_raw():
            yield piece
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise refusal("bad_encoding", f"the body is packed as {encoding[:40]!r}", status=response.status_code)
    unpack = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        async for piece in response.aiter_raw():
            yield unpack.decompress(piece, max_piece)  # what is left over is beyond the limit: nobody asks for it
    except zlib.error as error:
        raise refusal("bad_encoding", f"the body does not unpack: {error}", status=response.status_code) from None
    if not unpack.eof:
        raise refusal("truncated", "the packed body ends too early", status=response.status_code)


def _check_hop(request: httpx.Request) -> None:
    try:
        check_url(str(request.url))
    except InvalidInput as error:
        raise refusal("bad_url", f"a redirect leads astray: {error.message}") from None


def _too_large(status: int, limit: int) -> FeedError:
    return refusal("too_large", f"the document is larger than {limit} bytes", status=status)


def _validator(response: httpx.Response, header: str) -> str | None:
    value: str | None = response.headers.get(header)
    return value if value and len(value) <= MAX_VALIDATOR_CHARS else None


def _retry_after_ms(headers: httpx.Headers) -> int | None:
    """What the server asks for; a date counts from the server's own clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return int(value[:9]) * 1000
    due_ms, sent_ms = _date_ms(value), _date_ms(headers.get("Date", ""))
    return None if due_ms is None or sent_ms is None else max(0, due_ms - sent_ms)


def _date_ms(text: str) -> int | None:
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _translated(error: httpx.HTTPError) -> FeedError:
    text = f"{type(error).__name__}: {error}"
    match error:
        case httpx.UnsupportedProtocol():
            return refusal("bad_url", text)
        case httpx.TimeoutException():
            return refusal("timeout", text)
        case _ if any(isinstance(cause, socket.gaierror) for cause in _causes(error)):
            return refusal("dns", text)
        case _ if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
            return refusal("tls", text)
        case _:
            return refusal("connection", text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
