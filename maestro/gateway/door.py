"""The door: what every request passes before any route sees it, and what every answer carries.

Checked, in this order: the host (a page elsewhere may resolve its own name to us), the origin, for every method; how
fast this asker asks; tokens in the URL; the body's size, time, media type and meaning. Invariants: a body is read whole
before a route begins, so that nothing is half done because of it; nothing of a body or a header is logged.
What is not here: who asks (`maestro.gateway.access`), and what for.

Source: PROMISES B1 to B5, B17, B33, B34; 5.4.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro.errors import MaestroError
from maestro.gateway.bodies import MAX_BYTES, check_json
from maestro.gateway.pace import Pace
from maestro.gateway.problems import (
    Malformed,
    NotAllowed,
    NotWelcome,
    TooLarge,
    TooMany,
    WrongMedia,
    headers_of,
    problem,
    status_of,
)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
BODY_S = 15.0
SECRETS_IN_URL = frozenset({"token", "access_token", "authorization", "api_key"})
ANY_BODY = "/webhooks/"  # signed by its sender, byte for byte: what it may be, the hook says
UNHURRIED = frozenset({"/healthz", "/readyz", "/metrics"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


@dataclass(slots=True)
class Door:
    """Stands before an application."""

    app: ASGIApp
    hosts: Collection[str] = LOOPBACK
    """Names by which it may be asked, without ports."""
    pace: Pace = field(default_factory=Pace)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = request_id = secrets.token_hex(8)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            body = await self._admitted(scope, receive)
        except MaestroError as error:
            await _refuse(error, request_id, marked)
            return
        await self.app(scope, _replayed(body, receive), marked)

    async def _admitted(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body of a request that may come in."""
        headers = Headers(scope=scope)
        host = self._host(headers)
        _check_origin(headers, f"{scope['scheme']}://{host}")
        if scope["path"] not in UNHURRIED and (wait_s := self.pace.wait_s(_asker(scope, headers))):
            raise TooMany("too many requests", hint=f"come back in {wait_s} s", retry_after_s=wait_s)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name.lower() in SECRETS_IN_URL for name, _ in query):
            raise NotWelcome("a token in a URL is not taken", hint="send `Authorization: Bearer TOKEN`")
        body = await _read(headers, receive)
        if body and not scope["path"].startswith(ANY_BODY):
            if headers.get("content-encoding", "identity") != "identity":
                raise WrongMedia("an encoded body is not taken", field="content-encoding", hint="send it as it is")
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise WrongMedia("a body must be JSON", field="content-type", hint="send application/json")
            check_json(body)
        return body

    def _host(self, headers: Headers) -> str:
        form = _HOST.fullmatch(headers.get("host", ""))
        if form is None or form["name"].lower() not in self.hosts or len(headers.getlist("host")) > 1:
            raise Malformed("this host is not served here", field="host", hint="set MAESTRO_PANE_HOSTS to serve it")
        return headers["host"]


def _check_origin(headers: Headers, own: str) -> None:
    """A page of another origin may not ask, whatever the method."""
    origin = headers.get("origin")
    if origin is not None and origin.lower() != own.lower():
        raise NotAllowed("a page of another origin may not ask", field="origin", hint="open the pane itself")
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        raise NotAllowed("a page of another origin may not ask", field="sec-fetch-site", hint="open the pane itself")


def _asker(scope: Scope, headers: Headers) -> str:
    """What one asker is counted under: what it shows, or where it comes from."""
    shown = headers.get("authorization") or headers.get("cookie")
    client = scope.get("client") or ("nobody", 0)
    return hashlib.sha256(shown.encode()).hexdigest() if shown else str(client[0])


async def _read(headers: Headers, receive: Receive) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > MAX_BYTES:
        raise TooLarge(f"a body has {MAX_BYTES:,} bytes at most", field="content-length", hint="send less")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Malformed("the body did not come to its end")
                body += message.get("body", b"")
                if len(body) > MAX_BYTES:
                    raise TooLarge(f"a body has {MAX_BYTES:,} bytes at most", hint="send less")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise TooLarge(f"the body did not come within {BODY_S:g} s", hint="send it faster, or less") from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(error: MaestroError, request_id: str, send: Send) -> None:
    body = orjson.dumps(problem(error, request_id).model_dump(mode="json"))
    pairs = {"content-type": "application/json", "content-length": str(len(body)), **headers_of(error)}
    if isinstance(error, TooLarge):
        pairs["connection"] = "close"  # what is still on its way is not read
    headers = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
