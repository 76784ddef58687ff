"""maestro.mesh.source.Reader over what an MCP server tells: `mcp:NAME`.

News are each version of each of its resources, with their text, so that a field can hold them; what it says unasked
(log messages); and that its tools are other than what was approved. What it tells of itself rouses the source at once;
what it keeps to itself is found when the source is polled.
Invariants: all of it is untrusted, plain and capped; what is heard twice is told once. A text that was told before is
no news when it comes back, and what a server says while nobody is connected to it is heard by nobody.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from maestro.adapters.mcp.link import Attached
from maestro.adapters.mcp.servers import McpServers, offers_in
from maestro.errors import FeedError, InvalidInput, ToolError
from maestro.ids import TimeMs, new_token
from maestro.mesh.item import MAX_ABSTRACT_CHARS, MAX_TITLE_CHARS, Item
from maestro.mesh.source import Document, Fetched, mcp_server_of
from maestro.tools.servers import differences, list_digest, plain

LIMIT_S = 60.0


class McpReader:
    """The sources of one process that are MCP servers."""

    def __init__(self, servers: McpServers) -> None:
        self._servers = servers
        self._heard = 0
        self._life = new_token("heard")
        """Part of the names of what was heard: a process that starts again counts from 1."""

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        """What it has now, and what it has said since the last look.

        Raises:
            FeedError: it is not to be reached, or there is no such server.
        """
        name = mcp_server_of(url)
        await self._servers.shelf.refresh()
        try:
            attached = self._attached(name)
            attached.news.clear()
            told = await attached.ask({"do": "survey"}, LIMIT_S)
        except (InvalidInput, ToolError) as error:
            raise FeedError(str(error), reason="mcp") from None
        survey: dict[str, Any] = dict(told) if isinstance(told, dict) else {}
        items = [_resource_item(each) for each in survey.get("resources", [])]
        items += self._tools_item(name, survey.get("offers", []))
        notes = [attached.notes.popleft() for _ in range(len(attached.notes))]
        if not attached.is_over and all(note.get("kind") == "log" for note in notes):
            attached.news.clear()  # what it says of being looked at is no reason to look again
        for note in notes:
            if note.get("kind") == "log":
                self._heard += 1
                items.append(_said_item(note, f"{self._life} {self._heard}"))
        return Document(tuple(items))

    async def news(self, url: str) -> None:
        """Returns when the server has said something, or is gone."""
        try:
            news = self._attached(mcp_server_of(url)).news
        except InvalidInput:
            news = asyncio.Event()  # never set: until it is time to look again
        await news.wait()

    async def close(self) -> None:
        """No process of a server is left."""
        await self._servers.close()

    def _attached(self, name: str) -> Attached:
        return self._servers.attached(self._servers.shelf.server(name), watch=True)

    def _tools_item(self, name: str, told: JsonValue) -> list[Item]:
        """That a person has to look; nothing while the tools are as approved, or nobody has approved any."""
        offered, approved = offers_in(told), self._servers.shelf.approved(name)
        found = differences(approved, offered, name) if approved else ()
        if not found:
            return []
        words = ", ".join(f"{each.tool} is {each.kind}" for each in found)
        title = f"The tools of {name} are not what was approved: {words}"
        return [
            Item(title=title[:MAX_TITLE_CHARS], guid=f"tools {list_digest(offered.values())}", categories=("tools",))
        ]


def _resource_item(told: Mapping[str, Any]) -> Item:
    uri, text = _line(told["uri"]), _line(told["text"])
    # the address is part of the text: a source knows an item again by its text too, and two may hold the same
    named = hashlib.sha256(f"{uri} {told['sha256']}".encode()).hexdigest()
    title = f"{_line(told['name'])} ({uri})"
    return Item(
        title=title[:MAX_TITLE_CHARS],
        abstract=text[:MAX_ABSTRACT_CHARS],
        guid=f"resource {named}",
        categories=("resource",),
    )


def _said_item(note: Mapping[str, Any], name: str) -> Item:
    text = _line(note.get("text", ""))
    # its name is part of the text: what is said twice was said twice
    level = _line(note.get("level", ""))
    return Item(title=text[:MAX_TITLE_CHARS], abstract=name, guid=name, categories=("notification", level))


def _line(text: object) -> str:
    return " ".join(plain(str(text)).split())
