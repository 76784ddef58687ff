"""Two processes and one MCP server: what is approved in one is on in the other, and what changed is off in both."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from maestro.adapters.mcp.servers import McpServers
from maestro.adapters.mcp.shelf import ServerShelf
from maestro.adapters.redis.backend import open_backend
from maestro.adapters.sandbox.confined import Confinement
from maestro.errors import ToolDenied, ToolError
from maestro.ids import TenantId
from maestro.runtime.backend import Backend
from maestro.tools.calls import Order
from tests.integration.mcp_support import PATIENCE_S, Shop, shop_over

ROOT = Path(__file__).parents[2]
LIVE = "from tests.integration.test_mcp_two_processes import main; main()"

pytestmark = pytest.mark.timeout(300)  # it begins processes that import for a second, or ten on a busy machine


def main() -> None:
    """The other process: for each line that it is told, it asks for a price and tells what came of it."""
    asyncio.run(_answer(*sys.argv[1:3]))


async def _answer(url: str, file: str) -> None:
    backend = await open_backend(url, TenantId("default"))
    shelf = ServerShelf(Path(file), backend.register)
    followed = McpServers(shelf, Confinement())
    await followed.follow()
    while await asyncio.to_thread(sys.stdin.readline):
        servers = McpServers(
            shelf, Confinement()
        )  # the server is begun anew for each: what it offers, it says at its start
        print(await _asked(servers), flush=True)
        await servers.close()
    await followed.close()
    await backend.close()


async def _asked(servers: McpServers) -> str:
    tool = servers.shelf.tools.get("shop.price")
    if tool is None:
        return "unknown"
    try:
        told = await servers.run(Order(tool, tool.arguments({"article": "tea"}), "key-1"))
    except ToolError as error:
        return error.code
    assert isinstance(told, dict)
    return str(told["structured"])


@asynccontextmanager
async def other_process(url: str, file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe, words = asyncio.subprocess.PIPE, (sys.executable, "-c", LIVE, url, str(file))
    other = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)
    try:
        yield other
    finally:
        assert other.stdin
        other.stdin.close()
        assert await other.wait() == 0


async def asked(other: asyncio.subprocess.Process) -> str:
    assert other.stdin
    assert other.stdout
    other.stdin.write(b"\n")
    return (await other.stdout.readline()).decode().strip()


@pytest.fixture
async def shop(tmp_path: Path, backend: Backend) -> AsyncIterator[Shop]:
    async with shop_over("stdio", tmp_path) as shop:
        shop.servers = McpServers(ServerShelf(shop.file, backend.register), Confinement())
        yield shop


async def test_what_one_has_approved_the_other_uses_and_what_changed_is_off_in_both(url: str, shop: Shop) -> None:
    async with other_process(url, shop.file) as other:
        assert await asked(other) == "unknown"
        await shop.approve()
        async with asyncio.timeout(PATIENCE_S):
            while (told := await asked(other)) == "unknown":  # noqa: ASYNC110 - another process has no event
                await asyncio.sleep(0.1)
        assert told == "{'article': 'tea', 'cents': 450}"

        (shop.folder / "poisoned").touch()
        await shop.servers.close()
        assert await asked(other) == "tool_denied"
        with pytest.raises(ToolDenied):
            await shop.use("price", article="tea")

        await shop.approve()
        assert await asked(other) == "{'article': 'tea', 'cents': 1}", "with its next call"
        assert (await shop.use("price", article="tea"))["structured"]["cents"] == 1
