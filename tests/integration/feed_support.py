"""What tests of feeds share: servers that speak HTTP as they are told, and a publisher that keeps what it is given."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from maestro.adapters.feeds.reader import DEFAULT_LIMITS, FeedLimits, FeedReader
from maestro.adapters.web.client import GuardedWeb
from maestro.errors import StoreUnavailable
from maestro.mesh.event import Event
from maestro.mesh.source import Published

SHARED = Path(__file__).resolve().parents[3] / "shared"
SERVER = Path("tools") / "arxiv_feed_server.py"
DATA = Path("data") / "arxiv-daily"
BROKEN_DAY = "2024-07-27"
"""One line of this day is not JSON: the server drops the connection for as long as it is the current day."""

Script = Callable[[bytes], AsyncIterator[bytes]]


class Shelf:
    """Keeps each fact once, as the store does; may die at a chosen publish, before or after the event is durable."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.told = 0
        self.dies_at: int | None = None
        self.dies_before = True

    async def publish(self, event: Event) -> Published:
        self.told += 1
        if self.told == self.dies_at and self.dies_before:
            raise StoreUnavailable("the store does not answer")
        duplicate = event.id in self.events
        self.events.setdefault(event.id, event)
        if self.told == self.dies_at:
            raise StoreUnavailable("the reply was lost")
        return Published(event.id, duplicate, 0)

    @property
    def items(self) -> list[dict[str, object]]:
        """The payloads of all items, in the order in which they were first told."""
        return [event.payload for event in self.events.values() if event.type == "feed.item"]  # type: ignore[misc]

    @property
    def changes(self) -> list[str]:
        return [event.type for event in self.events.values() if event.type.startswith("source.")]


@asynccontextmanager
async def reading(limits: FeedLimits = DEFAULT_LIMITS) -> AsyncIterator[FeedReader]:
    """A reader over the real web, which goes where an operator may send it."""
    web = GuardedWeb()
    yield FeedReader(web, limits)
    await web.close()


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    """The address of a server that answers each request with the bytes of `script`, as slowly as it gives them."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            async for piece in script(request):
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the reader has had enough: that is what the tests are about
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed"


def answering(body: bytes, *headers: str, status: str = "200 OK") -> Script:
    """The script of an ordinary answer."""

    async def script(_request: bytes) -> AsyncIterator[bytes]:
        yield head(*headers, f"Content-Length: {len(body)}", status=status) + body

    return script


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "Connection: close", "", "")).encode()


class ArxivServer:
    """The feed server beside the repository, as a process of its own."""

    def __init__(self, shared: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, shared / SERVER, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        self._base = self.url.removesuffix("/rss/cs.AI")

    def fault(self, name: str) -> None:
        self._post(f"/fault/{name}")

    def advance(self) -> str:
        return str(self._post("/advance")["day"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout
        self._process.stdout.close()

    def _post(self, path: str) -> dict[str, object]:
        request = urllib.request.Request(self._base + path, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            read: dict[str, object] = json.load(answer)
        return read


def shared() -> Path:
    """The folder beside the repository, or a skip with its reason; under CI a failure."""
    if not (SHARED / SERVER).is_file():
        reason = f"{SHARED / SERVER} is not there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


def mended(folder: Path) -> Path:
    """A copy of the server and its data whose one broken line is JSON again."""
    (folder / SERVER).parent.mkdir(parents=True)
    shutil.copy(shared() / SERVER, folder / SERVER)
    (folder / DATA).mkdir(parents=True)
    for day in days():
        text = (shared() / DATA / f"{day}.jsonl").read_text(encoding="utf-8")
        (folder / DATA / f"{day}.jsonl").write_text(text.replace("$\\ abla", "$\\\\nabla"), encoding="utf-8")
    return folder


def days() -> list[str]:
    return sorted(path.stem for path in (shared() / DATA).glob("*.jsonl"))


def papers(root: Path, day: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / DATA / f"{day}.jsonl").read_text(encoding="utf-8").splitlines()]


def link_of(paper: dict[str, object]) -> str:
    return str(paper["pdf_link"]).replace("/pdf/", "/abs/")
