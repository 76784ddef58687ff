"""What the tests of MCP share: a shop that runs over a transport, and a shelf on which it is approved."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.adapters.mcp.servers import McpServers
from maestro.adapters.mcp.shelf import ServerShelf
from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.sandbox.confined import Confinement
from maestro.tools.calls import Order
from maestro.tools.servers import Offer, Transport

SHOP = str(Path(__file__).with_name("mcp_shop.py"))
PATIENCE_S = 60.0
_OFFERS: dict[str, Offer] = {}
SAFE = 'side_effects = { price = "pure", whoami = "pure", order = "keyed" }\nkey_parameters = { order = "reference" }\n'


@dataclass(slots=True)
class Shop:
    """A shop in a folder, what is written about it, and the servers of this process."""

    folder: Path
    transport: Transport
    servers: McpServers = field(init=False)
    _process: asyncio.subprocess.Process | None = None

    @property
    def file(self) -> Path:
        return self.folder / "mcp.toml"

    def entry(self, more: str = SAFE) -> None:
        """Its entry in the file of servers."""
        argv: list[JsonValue] = [SHOP, "stdio", str(self.folder)]
        words = {
            "stdio": f"command = {_toml(sys.executable)}\nargs = {_toml(argv)}\n",
            "sse": 'transport = "sse"\n',
            "http": "",
        }[self.transport]
        address = self.folder / "address"
        url = f"url = {_toml(address.read_text())}\n" if self.transport != "stdio" else ""
        self.file.write_text(f"[shop]\n{words}{url}{more}")

    async def open(self) -> None:
        """It runs, where it is not run by who uses it."""
        if self.transport == "stdio":
            return
        self._process = await asyncio.create_subprocess_exec(sys.executable, SHOP, self.transport, str(self.folder))
        async with asyncio.timeout(PATIENCE_S):
            while not (self.folder / "address").exists():  # noqa: ASYNC110 - a file has no event to wait for
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.servers.close()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None
        (self.folder / "address").unlink(missing_ok=True)

    async def approve(self) -> None:
        """A person has looked at what it offers now, and it is good."""
        await self.servers.shelf.approve("shop", await self.servers.offers("shop"))

    async def approve_as_ever(self) -> None:
        """The same, of a shop that is as it always is: it is looked at once for all tests."""
        if not _OFFERS:
            _OFFERS.update(await self.servers.offers("shop"))
            await self.servers.close()
        await self.servers.shelf.approve("shop", _OFFERS)

    async def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        found = self.servers.shelf.tools[f"shop.{tool}"]
        told = await self.servers.run(Order(found, found.arguments(arguments), "key-1"))
        assert isinstance(told, dict)
        return told

    def noted(self, name: str) -> list[str]:
        found = self.folder / name
        return found.read_text().splitlines() if found.exists() else []


@asynccontextmanager
async def shop_over(transport: Transport, folder: Path, more: str = SAFE) -> AsyncIterator[Shop]:
    shop = Shop(folder, transport)
    await shop.open()
    shop.entry(more)
    shop.servers = McpServers(ServerShelf(shop.file, MemoryBackend().register), Confinement())
    try:
        yield shop
    finally:
        await shop.close()


async def gone(pid: int) -> None:
    """The process is no more, or a zombie of whoever adopts it."""
    async with asyncio.timeout(PATIENCE_S):
        while _lives(pid):  # noqa: ASYNC110 - a process of another parent has no event to wait for
            await asyncio.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _toml(value: JsonValue) -> str:
    return orjson.dumps(value).decode()
