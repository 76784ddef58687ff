"""The guard on the way to MCP servers behind an address: the rules of maestro.mesh.egress over httpx2.

Invariants: a name is resolved once per request and the connection goes to an address of that answer; the server sees
the name that was asked for, and its certificate must name it; a redirect is judged as any request; what the server's
entry says as an address is meant (`Egress.with_origin`), and opens that origin alone.

As adapters/web does for httpx: adapters do not know each other, and the two packages do not either.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx2

from maestro.errors import WebError
from maestro.mesh.egress import Destination, Egress, destination
from maestro.mesh.web import web_error

MAX_ADDRESSES = 3  # tried in their order, each with the whole time to connect


def guarded_client(
    url: str, allow: Iterable[str], headers: Mapping[str, str], timeout: httpx2.Timeout
) -> httpx2.AsyncClient:
    """A client that goes where the rules let it, and to `url` where that is written as an address."""
    transport = GuardedTransport(Egress.parse(allow).with_origin(url))
    return httpx2.AsyncClient(transport=transport, headers=dict(headers), timeout=timeout, trust_env=False)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to an address that the rules allow."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._plain = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As httpx2 says.

        Raises:
            EgressRefused: it goes where nothing may. WebError: nobody knows the name.
        """
        to = destination(str(request.url))
        addresses = self._egress.check(to, [to.host] if to.address else await _resolved(to))[:MAX_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return await self._sent(request, to, address)
            except httpx2.ConnectError:
                continue
        return await self._sent(request, to, addresses[-1])

    async def aclose(self) -> None:
        await self._plain.aclose()

    async def _sent(self, request: httpx2.Request, to: Destination, address: str) -> httpx2.Response:
        extensions: dict[str, Any] = {**request.extensions, "sni_hostname": to.host}
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=address, port=to.port),
            headers=request.headers,  # with the Host of the name
            stream=request.stream,
            extensions=extensions,
        )
        return await self._plain.handle_async_request(pinned)


async def _resolved(to: Destination) -> Sequence[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise _unknown(to, error) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _unknown(to: Destination, error: Exception) -> WebError:
    return web_error("dns", f"{to.host}: {error}")
