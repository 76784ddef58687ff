"""maestro.mesh.web.Web over httpx: one GET, bounded in time, bytes, redirects and memory whatever the server does.

Invariants:
- a call ends within its deadline, counted over all of it: a server that trickles a byte a second is cut off as well;
- no more than `max_bytes` of the unpacked body are ever held, so that a packed bomb stays small;
- the body of a redirect, and of any status but 200, is not read.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx

from maestro.adapters.web.guard import ALLOWED, GuardedTransport, Resolve, resolve
from maestro.errors import WebError
from maestro.mesh.egress import Egress, destination
from maestro.mesh.web import Answer, WebLimits, web_error

USER_AGENT = "maestro/1 (+https://example.org/maestro)"
GZIP_OR_ZLIB = 47  # zlib's word for "see by the header which of the two"
MAX_HEADERS = 200
_NONE = Egress()


class GuardedWeb:
    """Calls the web; one per process is enough, calls may run side by side."""

    def __init__(self, egress: Egress = _NONE, resolve: Resolve = resolve) -> None:
        self._egress = egress
        # Redirects are followed here, not by httpx: it would read the body of each redirect without a limit.
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(egress, resolve),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Connections are closed; it is of no more use."""
        await self._client.aclose()

    async def get(self, url: str, headers: Mapping[str, str], limits: WebLimits, *, named: bool = False) -> Answer:
        """As maestro.mesh.web.Web says."""
        destination(url)  # by our reading, before httpx mends what has more than one
        allowed = self._egress.with_origin(url) if named else self._egress
        try:
            async with asyncio.timeout(limits.deadline_ms / 1000):
                request = self._client.build_request(
                    "GET", url, headers=dict(headers), timeout=limits.deadline_ms / 1000, extensions={ALLOWED: allowed}
                )
                return await self._follow(request, limits)
        except TimeoutError:
            raise web_error("timeout", f"no whole answer within {limits.deadline_ms} ms") from None
        except httpx.InvalidURL as error:
            raise web_error("bad_url", str(error)) from None
        except httpx.HTTPError as error:
            raise _translated(error) from error

    async def _follow(self, request: httpx.Request, limits: WebLimits) -> Answer:
        allowed = request.extensions[ALLOWED]
        for _ in range(limits.max_redirects + 1):
            response = await self._client.send(request, stream=True)
            try:
                if response.next_request is None:
                    return await _read(response, limits.max_bytes)
                request = response.next_request
                request.extensions = {**request.extensions, ALLOWED: allowed}
            finally:
                await response.aclose()
        raise web_error("redirects", f"more than {limits.max_redirects} redirects")


async def _read(response: httpx.Response, limit: int) -> Answer:
    if len(response.headers) > MAX_HEADERS:
        raise web_error("headers", f"the answer has more than {MAX_HEADERS} headers", status=response.status_code)
    body = await _body(response, limit) if response.status_code == httpx.codes.OK else b""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(str(response.url), response.status_code, response.reason_phrase, headers, body)


async def _body(response: httpx.Response, limit: int) -> bytes:
    stated = response.headers.get("Content-Length", "")
    if stated.isdecimal() and int(stated[:20]) > limit:
        raise _too_large(response.status_code, limit)
    body = bytearray()
    async for piece in _unpacked(response, limit + 1):
        body += piece
        if len(body) > limit:
            raise _too_large(response.status_code, limit)
    return bytes(body)


async def _unpacked(response: httpx.Response, max_piece: int) -> AsyncIterator[bytes]:
    """The body in pieces, none larger than `max_piece`: httpx itself would unpack a bomb whole."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    status = response.status_code
    if encoding in ("", "identity"):
        async for piece in response.aiter_raw():
            yield piece
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise web_error("bad_encoding", f"the body is packed as {encoding[:40]!r}", status=status)
    unpack = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        async for piece in response.aiter_raw():
            yield unpack.decompress(piece, max_piece)  # what is left over is beyond the limit: nobody asks for it
    except zlib.error as error:
        raise web_error("bad_encoding", f"the body does not unpack: {error}", status=status) from None
    if not unpack.eof:
        raise web_error("truncated", "the packed body ends too early", status=status)


def _too_large(status: int, limit: int) -> WebError:
    return web_error("too_large", f"the document is larger than {limit} bytes", status=status)


def _translated(error: httpx.HTTPError) -> WebError:
    text = f"{type(error).__name__}: {error}"
    match error:
        case httpx.UnsupportedProtocol():
            return web_error("bad_url", text)
        case httpx.TimeoutException():
            return web_error("timeout", text)
        case _ if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
            return web_error("tls", text)
        case _:
            return web_error("connection", text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
