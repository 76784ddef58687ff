"""Sources as supervised actors: one per feed, whoever and however many subscribe to its subject.

Not here: what a poll does (maestro.adapters.feeds), and which sources exist (their records, in the store).
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable

from pydantic import JsonValue

from actors.lifecycle import Lifecycle
from maestro import telemetry
from maestro.adapters.feeds.loop import FeedLoop, FeedPorts
from maestro.adapters.feeds.reader import FeedReader

OPENER = "maestro.bootstrap:open_source"
FEED_SOURCE = "actors.sources:FeedSource"


class FeedSource:
    """Polls one feed once for all its subscribers, when its record says so.

    Args:
        source: the name of the source; its record is in the store.
        settings: what the opener needs to reach the store, as JSON.
        opener: `module:async_function`, settings -> FeedPorts.
    """

    def __init__(self, *, incarnation: str, source: str, settings: str, opener: str = OPENER) -> None:
        self._life = Lifecycle(incarnation)
        telemetry.configure(f"source/{source}")
        self._reader = FeedReader()
        self._opening = asyncio.create_task(self._open(source, settings, opener))
        self._life.run(self._poll())

    async def ready(self) -> dict[str, JsonValue]:
        await asyncio.shield(self._opening)
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        await self._life.stop(reason)
        await self._reader.close()

    async def poll_now(self) -> dict[str, JsonValue]:
        """The record, as JSON, after a poll that did not wait for its time."""
        record = await (await asyncio.shield(self._opening)).poll_now()
        return record.model_dump(mode="json")

    async def _poll(self) -> None:
        await (await asyncio.shield(self._opening)).run()

    async def _open(self, source: str, settings: str, opener: str) -> FeedLoop:
        module, _, function = opener.partition(":")
        open_ports: Callable[[str], Awaitable[FeedPorts]] = getattr(importlib.import_module(module), function)
        return FeedLoop(source, self._reader, await open_ports(settings))
