"""maestro.tools.calls.ToolRunner over MCP servers: what was approved is called, by the server that offers it.

Invariants: what is approved is read from the store before each call; a call carries the digest of it, and is refused
where the server offers anything else; a server's process is begun with the first call that needs it, and ended with
this; no server is given another's secret.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import structlog
from pydantic import JsonValue

from maestro.adapters.mcp.link import IDLE_S, Attached, Children
from maestro.adapters.mcp.shelf import ServerShelf, hello_of
from maestro.errors import MCPConnectionError, StoreError, ToolDenied
from maestro.tools.calls import Order
from maestro.tools.servers import Offer, Offers, ToolServer

LIST_LIMIT_S = 60.0
FOLLOW_S = 1.0
"""How long a process may not know of a tool that was approved meanwhile; what is called is looked up at its call."""

log = structlog.get_logger()


class McpServers:
    """The servers of one process.

    Args:
        egress: what may be called beside the public web, as MAESTRO_EGRESS_ALLOW says it.
    """

    def __init__(
        self, shelf: ServerShelf, children: Children, idle_s: float = IDLE_S, egress: Sequence[str] = ()
    ) -> None:
        self.shelf = shelf
        self._egress = tuple(egress)
        self._idle_s = idle_s
        self._children = children
        self._attached: dict[str, tuple[ToolServer, Attached]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """The shelf has what was approved, and goes on to: a file or an approval that changes is known soon after.

        Raises:
            StoreError: the store cannot be read.
        """
        await self.shelf.refresh()
        if self._following is None and self.shelf.is_stocked:
            self._following = asyncio.create_task(self._follow())

    async def run(self, order: Order) -> JsonValue:
        """What the tool returned; see maestro.tools.calls.ToolRunner.

        Raises:
            MCPConnectionError: nothing was asked of the server. ToolDenied: it is not what was approved.
        """
        name, _, tool = order.tool.place.partition(":")
        try:
            await self.shelf.refresh()
        except StoreError as error:
            raise MCPConnectionError(f"{name}: what was approved of it cannot be read", hint=str(error)) from None
        offer = self.shelf.approved(name).get(tool)
        if offer is None:
            raise ToolDenied(f"{order.tool.name} is approved no more", field="tool", hint="see `maestro mcp list`")
        server = self.shelf.server(name)
        arguments, key = dict(order.arguments), order.idempotency_key
        if (parameter := server.key_parameters.get(tool)) is not None:
            arguments[parameter] = key
        asked: dict[str, JsonValue] = {
            "do": "call", "tool": tool, "digest": offer.digest, "arguments": arguments, "key": key,
        }  # fmt: skip
        return await self.attached(server).ask(asked, order.tool.spec.timeout_s)

    async def offers(self, name: str) -> Offers:
        """What the server offers now.

        Raises:
            MCPConnectionError: it is not to be reached.
        """
        told = await self.attached(self.shelf.server(name)).ask({"do": "offers"}, LIST_LIMIT_S)
        return offers_in(told)

    def attached(self, server: ToolServer, watch: bool = False) -> Attached:
        """The server as this process uses it; anew where its entry has changed."""
        known = self._attached.get(server.name)
        if known is not None and known[0] == server:
            return known[1]
        if known is not None:
            leaving = asyncio.ensure_future(known[1].close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        hello = cast(Mapping[str, JsonValue], hello_of(server, watch, self._egress))
        idle_s = None if watch else self._idle_s
        fresh = Attached(server.name, hello, self._children, server.at_most, idle_s)
        self._attached[server.name] = (server, fresh)
        return fresh

    async def close(self) -> None:
        """No process of a server is left."""
        if self._following is not None:
            self._following.cancel()
        attached, self._attached = self._attached, {}
        for _, each in attached.values():
            await each.close()
        await asyncio.gather(*self._leaving)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self.shelf.refresh()
            except StoreError as error:
                log.debug("mcp_approvals_unread", error=str(error))  # the store's absence is told by who needs it


def offers_in(told: JsonValue) -> Offers:
    """A list of offers as a bridge tells it, by name."""
    offers = [Offer.model_validate(each) for each in (told if isinstance(told, list) else [])]
    return {offer.name: offer for offer in offers}
