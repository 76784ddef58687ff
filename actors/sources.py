"""Sources as supervised actors: one per source, whoever and however many subscribe to its subject.

Not here: what a poll does (maestro.adapters.feeds), and which sources exist (their records, in the store).
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from pydantic import JsonValue

from actors.lifecycle import Lifecycle
from actors.opening import patiently
from maestro import telemetry
from maestro.adapters.feeds.loop import FeedLoop, FeedPorts
from maestro.mesh.source import Reader

OPENER = "maestro.bootstrap:open_source"
FEED_SOURCE = "actors.sources:FeedSource"


class ClosingReader(Reader, Protocol):
    async def close(self) -> None:
        """Its connections are closed."""
        ...


class OpenedPorts(FeedPorts, Protocol):
    """What an opener gives: a store, and what reads the source."""

    @property
    def reader(self) -> ClosingReader: ...


class FeedSource:
    """Polls one source once for all its subscribers, when its record says so.

    Args:
        source: the name of the source; its record is in the store.
        settings: what the opener needs to reach the store, as JSON.
        opener: `module:async_function`, settings -> OpenedPorts.
    """

    def __init__(self, *, incarnation: str, source: str, settings: str, opener: str = OPENER) -> None:
        self._life = Lifecycle(incarnation)
        telemetry.configure(f"source/{source}")
        self._reader: ClosingReader | None = None
        self._opening = asyncio.create_task(self._open(source, settings, opener))
        self._life.run(self._poll())

    async def ready(self) -> dict[str, JsonValue]:
        await asyncio.shield(self._opening)
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        await self._life.stop(reason)
        if self._reader is not None:
            await self._reader.close()

    async def poll_now(self) -> dict[str, JsonValue]:
        """The record, as JSON, after a poll that did not wait for its time."""
        record = await (await asyncio.shield(self._opening)).poll_now()
        return record.model_dump(mode="json")

    async def _poll(self) -> None:
        await (await asyncio.shield(self._opening)).run()

    async def _open(self, source: str, settings: str, opener: str) -> FeedLoop:
        module, _, function = opener.partition(":")
        open_ports: Callable[[str], Awaitable[OpenedPorts]] = getattr(importlib.import_module(module), function)
        ports = await patiently(lambda: open_ports(settings))
        self._reader = ports.reader
        return FeedLoop(source, ports.reader, ports)
