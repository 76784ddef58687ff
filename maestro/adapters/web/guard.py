"""The guard: a transport for httpx that judges each request's address once and connects to the address it judged.

Invariants:
- a name is resolved once per request; the connection goes to an address of that one answer, so that a name which
  answers otherwise a moment later (DNS rebinding) gains nothing;
- the server sees the name that was asked for, in Host and in the TLS handshake (SNI), and its certificate must name it;
- no connection is used twice: two names at one address would share it, and with it the judgement of the first;
- proxies of the environment are not used: they would resolve the name again.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import httpx

from maestro.mesh.egress import Destination, Egress, destination
from maestro.mesh.web import web_error

MAX_ADDRESSES = 3  # tried in their order, each with the whole time to connect
ALLOWED = "maestro_egress"
"""The extension of a request that carries rules of its own."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of `host` as the system knows them.

    Raises:
        WebError: nobody knows it.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise web_error("dns", f"{host}: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends each request to an address that its rules allow.

    Args:
        egress: the rules of a request that brings none in its extension `ALLOWED`.
    """

    def __init__(self, egress: Egress, resolve: Resolve = resolve) -> None:
        self._egress = egress
        self._resolve = resolve
        self._plain = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        to = destination(str(request.url))
        rules: Egress = request.extensions.get(ALLOWED, self._egress)
        known = [to.host] if to.address else await self._resolve(to.host, to.port)
        addresses = rules.check(to, known)[:MAX_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return await self._send(request, to, address)
            except httpx.ConnectError:
                continue
        return await self._send(request, to, addresses[-1])

    async def aclose(self) -> None:
        await self._plain.aclose()

    async def _send(self, request: httpx.Request, to: Destination, address: str) -> httpx.Response:
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address, port=to.port),
            headers=request.headers,  # with the Host of the name
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": to.host},
        )
        return await self._plain.handle_async_request(pinned)
