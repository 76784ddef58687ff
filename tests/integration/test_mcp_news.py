"""What an MCP server tells unasked is an event at once; its resources are told in each of their versions."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from maestro.adapters.feeds.loop import FeedLoop
from maestro.adapters.mcp.reader import McpReader
from maestro.adapters.mcp.servers import McpServers
from maestro.adapters.memory.shelf import MemorySources
from maestro.adapters.sandbox.confined import Confinement
from maestro.clock import ManualClock
from maestro.errors import InvalidInput
from maestro.mesh.source import SourceRecord
from tests.integration.feed_support import Shelf
from tests.integration.mcp_support import PATIENCE_S, Shop, shop_over

pytestmark = pytest.mark.timeout(300)  # it begins processes that import for a second, or ten on a busy machine


@dataclass
class Ports:
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_795_000_000_000))
    publisher: Shelf = field(default_factory=Shelf)
    sources: MemorySources = field(default_factory=MemorySources)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_over("http", tmp_path) as shop:
        await shop.approve()
        yield shop


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not look():  # noqa: ASYNC110 - what is looked at has no event to wait for
            await asyncio.sleep(0.02)


@pytest.mark.spec("04.11")
async def test_a_tool_is_called_and_what_its_server_then_tells_is_an_event_long_before_the_next_poll(
    shop: Shop,
) -> None:
    ports, reader = Ports(), McpReader(McpServers(shop.servers.shelf, Confinement()))
    await ports.sources.save(SourceRecord(name="shop", subject="shop.news", url="mcp:shop", every_ms=86_400_000))
    running = asyncio.create_task(FeedLoop("shop", reader, ports).run())
    try:
        await until(lambda: len(ports.publisher.events) == 1)
        assert (await shop.use("tell", text="tea: 2"))["text"] == "told"
        await until(lambda: len(ports.publisher.events) == 2)
        before, after = ports.publisher.events.values()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await reader.close()
    assert [event.payload["abstract"] for event in (before, after)] == ["tea: 3", "tea: 2"]  # type: ignore[index,call-overload]
    assert (after.type, after.subject, after.taint) == ("mcp.told", "shop.news", "untrusted")


async def test_changed_tools_are_told_and_one_that_is_gone_degrades_its_source(shop: Shop) -> None:
    ports, reader = Ports(), McpReader(McpServers(shop.servers.shelf, Confinement()))
    record = SourceRecord(name="shop", subject="shop.news", url="mcp:shop")
    offers = dict(shop.servers.shelf.approved("shop"))
    offers["price"] = offers["price"].model_copy(update={"description": "As it was when it was approved."})
    del offers["hang"]
    await shop.servers.shelf.approve("shop", offers)
    try:
        found = await reader.fetch(record.url, None, None, await ports.clock.now_ms())
        await shop.close()
        with pytest.raises(Exception, match="shop"):
            await reader.fetch(record.url, None, None, await ports.clock.now_ms())
    finally:
        await reader.close()
    titles = [item.title for item in found.items]  # type: ignore[union-attr]  # a document, or it fails here
    assert "The tools of shop are not what was approved: hang is new, price is changed" in titles


def test_an_address_names_a_server() -> None:
    with pytest.raises(InvalidInput, match="names no MCP server"):
        SourceRecord(name="x", subject="a.b", url="mcp:../etc")
