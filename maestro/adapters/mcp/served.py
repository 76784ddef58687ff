"""Maestro's verbs as an MCP server over streamable HTTP: who may speak to it at all.

    POST /mcp with `Authorization: Bearer TOKEN`     401 without it, 403 from a strange page, 421 under a strange name

Invariants: loopback alone, unless an operator names another address; the token is this server's own, one that was
made for anybody else is unknown here, and none that comes is ever passed on; a page in a browser is let in only where
it came from this server itself (Origin), and only under a name that this server has (Host), so that a name which was
turned to this machine gains nothing.

Source: MCP, Transports (security) and Authorization (audience); PROMISES B33, B67.
"""

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from maestro.errors import InvalidInput

PATH = "/mcp"
MAX_BODY_BYTES = 1 << 20
MAX_SESSIONS = 100
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def listening_at(place: str) -> socket.socket:
    """The socket of `PORT` on loopback, or of `ADDRESS:PORT` where that is said; port 0 takes a free one.

    Raises:
        InvalidInput: no such place, or somebody else listens there.
    """
    host, _, port = place.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]") or "127.0.0.1")
        number = range(1 << 16).index(int(port))
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        return socket.create_server((str(address), number), family=family)
    except ValueError:
        raise InvalidInput(f"{place[:60]!r} is no place", field="http", hint="write PORT, or ADDRESS:PORT") from None
    except OSError as error:
        raise InvalidInput(
            f"nobody can listen at {place[:60]}: {error.strerror}", field="http", hint="take 0"
        ) from None


def url_of(listening: socket.socket) -> str:
    """Where a client on this machine finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


async def serve_http(server: MCPServer[Any], listening: socket.socket, token: str) -> None:
    """Returns when it is told to stop by a signal."""
    config = uvicorn.Config(door(server, listening, token), log_level="error", access_log=False)
    await uvicorn.Server(config).serve(sockets=[listening])


def door(server: MCPServer[Any], listening: socket.socket, token: str) -> App:
    """The app of `server`, behind its token."""
    host, port = listening.getsockname()[:2]
    names = {f"{name}:{port}" for name in (*_LOOPBACK, f"[{host}]" if ":" in host else host)}
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=sorted(names),
        allowed_origins=sorted(f"http://{name}" for name in names),
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MAX_BODY_BYTES,
        max_sessions=MAX_SESSIONS,
        transport_security=security,
    )
    expected = f"Bearer {token}".encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            brought = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(brought, expected):
                await _unwelcome(send)
                return
        await app(scope, receive, send)

    return guarded


async def _unwelcome(send: Send) -> None:
    body = orjson.dumps({"error": "invalid_token", "error_description": "bring the token of this server"})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b'Bearer error="invalid_token"'),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
