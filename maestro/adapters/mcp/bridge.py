"""The confined process that speaks MCP with one server: orders in, answers out, one JSON line each.

    {transport, argv | url, env, headers, watch ...}                ->  {"ready": ...} | {"refused": "..."}
    {"id", "do": "offers"}                                          ->  {"id", "answer": [offer, ...]}
    {"id", "do": "call", "tool", "digest", "arguments"}             ->  {"id", "began"}, then {"id", "answer"}
    {"id", "do": "survey"}                                          ->  {"id", "answer": {"offers", "resources"}}
    {"do": "cancel", "of": id}                                          -
                                                                    <-  {"note": {...}}, whenever the server speaks

Invariants: a tool is called only while the server offers exactly what was approved, looked at before each call; what
fails before `began` has had no effect; whatever a server does becomes an answer, or the end of this process.
The server is asked nothing on behalf of anybody else, is called nowhere but where egress lets it (guard.py), and its
own questions (sampling, roots, forms) are refused.
"""

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

import httpx2
import mcp_types
import orjson
from mcp.client import Client
from mcp.client.session import IncomingMessage
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import JsonValue, ValidationError

from maestro.adapters.mcp import told
from maestro.adapters.mcp.guard import guarded_client
from maestro.adapters.mcp.pipe import Command, spoken_by
from maestro.errors import MCPConnectionError, ToolDenied, ToolError
from maestro.tools.calls import error_body, failed
from maestro.tools.servers import MAX_TOOLS, Offer

MAX_RESOURCES = 200
MAX_PAGES = 50
ANSWER_BYTES = 1 << 20
READ_S = 300.0  # between two words of a stream that stays open; calls have limits of their own, outside
_LIMITS = httpx2.Timeout(30.0, read=READ_S)
_CLIENT = mcp_types.Implementation(name="maestro", version="1")

Answer = Any  # maestro.adapters.sandbox.line.Answer: the line is that room's


def serve(asked: BinaryIO, answer: Answer) -> None:
    """Returns when the line is closed."""
    hello = orjson.loads(asked.readline())
    asyncio.run(_serve(hello, asked, answer))


async def _serve(hello: Mapping[str, Any], asked: BinaryIO, answer: Answer) -> None:
    async def heard(message: IncomingMessage) -> None:
        if not isinstance(message, Exception) and (note := told.note_of(message)) is not None:
            answer({"note": note})

    ready = False
    try:
        async with _transport(hello) as transport:
            client = Client(
                transport, cache=None, message_handler=heard, client_info=_CLIENT,
                log_level="info" if hello["watch"] else None,
            )  # fmt: skip
            async with client, _Watch(client, hello["watch"]):
                ready = True
                answer({"ready": {"protocol": client.protocol_version}})
                await _Bridge(client, answer).until_closed(asked)
    except Exception as error:  # noqa: BLE001 - a server may do anything; here it is an answer
        if ready:
            os._exit(1)
        answer({"refused": _words(error)})


class _Bridge:
    """Carries orders out, many at a time."""

    def __init__(self, client: Client, answer: Answer) -> None:
        self._client = client
        self._answer = answer
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def until_closed(self, asked: BinaryIO) -> None:
        """Each order that comes is begun at once."""
        loop, lines = asyncio.get_running_loop(), asyncio.StreamReader(limit=ANSWER_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), asked)
        while line := await lines.readline():
            order = orjson.loads(line)
            if order["do"] == "cancel":
                if (task := self._tasks.get(order["of"])) is not None:
                    task.cancel()
                continue
            task = loop.create_task(self._carried_out(order))
            self._tasks[order["id"]] = task
            task.add_done_callback(partial(self._ended, order["id"]))
        os._exit(0)  # nobody is there to answer

    def _ended(self, at: int, _: asyncio.Task[None]) -> None:
        self._tasks.pop(at, None)

    async def _carried_out(self, order: Mapping[str, Any]) -> None:
        began, says = False, {"id": order["id"]}
        try:
            match order["do"]:
                case "offers":
                    value: JsonValue = [offer.model_dump(mode="json") for offer in (await self._offers()).values()]
                case "survey":
                    value = await self._survey()
                case _:
                    await self._approved(order)
                    self._answer({**says, "began": True})
                    began = True
                    value = await self._called(order)
            if len(orjson.dumps(value)) > ANSWER_BYTES:
                raise failed(order.get("tool", "the server"), f"its answer is beyond {ANSWER_BYTES} bytes")
            self._answer({**says, "answer": value})
        except ToolError as error:
            self._answer({**says, "error": error_body(error)})
        except Exception as error:  # noqa: BLE001 - as above
            self._answer({**says, "error": _body(order, error, began), "over": _is_over(error)})

    async def _offers(self) -> dict[str, Offer]:
        offers: dict[str, Offer] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            offers |= {tool.name: told.offer_of(tool) for tool in page.tools}
            cursor = page.next_cursor
            if len(offers) > MAX_TOOLS:
                raise MCPConnectionError(f"it offers more than {MAX_TOOLS} tools", hint="do without this server")
            if cursor is None:
                return offers
        raise MCPConnectionError(f"its list of tools has no end in {MAX_PAGES} pages", hint="do without this server")

    async def _approved(self, order: Mapping[str, Any]) -> None:
        """Raises ToolDenied unless the server offers now what was approved."""
        offer = (await self._offers()).get(order["tool"])
        if offer is None or offer.digest != order["digest"]:
            what = "is offered no more" if offer is None else "is not what was approved: its server has changed it"
            raise ToolDenied(f"{order['tool']} {what}", field="tool", hint="a person looks: `maestro mcp check SERVER`")

    async def _called(self, order: Mapping[str, Any]) -> JsonValue:
        meta = {} if order["key"] is None else {"maestro/idempotency-key": order["key"]}
        result = await self._client.call_tool(order["tool"], order["arguments"], meta=meta or None)  # type: ignore[arg-type]  # a plain mapping
        body = told.result_of(result)
        if result.is_error:
            raise failed(order["tool"], str(body["text"]))
        return body

    async def _survey(self) -> JsonValue:
        """What it offers, and its resources as they are now."""
        tools = await self._offers() if self._client.server_capabilities.tools else {}
        found: list[JsonValue] = []
        for about in await _resources(self._client):
            with suppress(MCPError):  # it is listed, and cannot be read: no news
                contents = await self._client.read_resource(str(about.uri))
                found.append(told.resource_of(about, contents.contents))
        return {"offers": [offer.model_dump(mode="json") for offer in tools.values()], "resources": found}


class _Watch:
    """Word of changes comes for as long as this is open, in whichever way the server tells of them."""

    def __init__(self, client: Client, wanted: bool) -> None:
        self._client = client
        self._wanted = wanted
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> None:
        if not self._wanted:
            return
        client = self._client
        uris = [str(about.uri) for about in await _resources(client)]
        with suppress(MCPError):  # one that tells nothing is looked at from time to time
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                listening = client.listen(
                    tools_list_changed=True, resources_list_changed=True, resource_subscriptions=uris
                )
                await self._stack.enter_async_context(listening)
            elif (able := client.server_capabilities.resources) is not None and able.subscribe:
                for uri in uris:
                    await _subscribed(client, uri)

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()


async def _subscribed(client: Client, uri: str) -> None:
    """As servers before 2026 know it; the mcp package warns each time that there is a newer way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        await client.subscribe_resource(uri)


async def _resources(client: Client) -> list[mcp_types.Resource]:
    if client.server_capabilities.resources is None:
        return []
    found: list[mcp_types.Resource] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_resources(cursor=cursor)
        found += page.resources
        cursor = page.next_cursor
        if cursor is None or len(found) > MAX_RESOURCES:
            break
    return found[:MAX_RESOURCES]


@asynccontextmanager
async def _transport(hello: Mapping[str, Any]) -> AsyncIterator[Any]:
    """What the client is made of."""
    match hello["transport"]:
        case "stdio":
            command = Command(**{**hello["command"], "argv": tuple(hello["command"]["argv"])})
            yield spoken_by(command, lambda: os._exit(1))  # a server that has ended ends its link
        case "sse":

            def client(
                headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: Any = None
            ) -> httpx2.AsyncClient:
                assert auth is None  # noqa: S101 - a token is a header
                return guarded_client(hello["url"], hello["egress"], headers or {}, timeout or _LIMITS)

            yield sse_client(
                hello["url"], headers=hello["headers"], sse_read_timeout=READ_S, httpx_client_factory=client
            )
        case _:
            async with guarded_client(hello["url"], hello["egress"], hello["headers"], _LIMITS) as http:
                yield streamable_http_client(hello["url"], http_client=http)


def _body(order: Mapping[str, Any], error: Exception, began: bool) -> dict[str, JsonValue]:
    if not began:
        return error_body(MCPConnectionError(f"the server does not answer: {_words(error)}", hint="try again later"))
    return error_body(failed(order["tool"], _words(error)))


def _is_over(error: Exception) -> bool:
    """True when nothing more is to be had of this connection: all but an error that the server itself has told."""
    plain = isinstance(error, ValidationError | RuntimeError)  # a result that is not what it says
    return not plain and not (isinstance(error, MCPError) and error.code != mcp_types.CONNECTION_CLOSED)


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:500]
