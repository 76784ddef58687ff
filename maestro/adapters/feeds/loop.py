"""The loop that polls one feed when its record says so, on the store's clock.

Invariants: one poll of a feed at a time, whoever asks for it; the record is read anew before each, so that the loop may
be killed and started elsewhere at any moment. A store that does not answer is asked again: the feed is not to blame.
Where the reader hears of news by itself, the feed is polled at once, though at most once in PUSH_GAP_S however much it
is told.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog

from maestro.adapters.feeds.poll import poll_once
from maestro.clock import Clock
from maestro.errors import NotFound, StoreError
from maestro.ids import TimeMs
from maestro.mesh.source import Publisher, Pushing, Reader, SourceRecord, SourceRecords

STORE_RETRY_S = 2.0
PUSH_GAP_S = 1.0


class FeedPorts(Protocol):
    """What a feed needs of a store."""

    @property
    def clock(self) -> Clock: ...

    @property
    def publisher(self) -> Publisher: ...

    @property
    def sources(self) -> SourceRecords: ...


class FeedLoop:
    """Polls the source `name` for all its subscribers."""

    def __init__(self, name: str, reader: Reader, ports: FeedPorts) -> None:
        self._name = name
        self._reader = reader
        self._ports = ports
        self._polling = asyncio.Lock()
        self._log = structlog.get_logger().bind(source=name)

    async def run(self) -> None:
        """Returns when the source is removed."""
        while True:
            try:
                if not await self._poll_if_due():
                    self._log.info("source removed")
                    return
            except StoreError as error:
                self._log.warning("store does not answer", error=str(error), again_in_s=STORE_RETRY_S)
                await asyncio.sleep(STORE_RETRY_S)

    async def poll_now(self) -> SourceRecord:
        """The record after a poll that did not wait for its time.

        Raises:
            NotFound: there is no such source (any more).
            StoreError: nothing was remembered.
        """
        async with self._polling:
            if (record := await self._ports.sources.load(self._name)) is None:
                raise NotFound(f"no source {self._name!r}", field="source", hint="see `maestro sources`")
            return await self._poll(record)

    async def _poll_if_due(self) -> bool:
        """One poll, or one sleep until it is due; False when there is nothing to poll."""
        async with self._polling:
            if (record := await self._ports.sources.load(self._name)) is None:
                return False
            if record.next_poll_ms <= await self._ports.clock.now_ms():
                await self._poll(record)
                return True
        if await self._is_news_before(record.next_poll_ms, record.url):
            with suppress(NotFound):  # it was removed in the meantime, as the next round sees
                await self.poll_now()
            await asyncio.sleep(PUSH_GAP_S)
        return True

    async def _is_news_before(self, due_ms: TimeMs, url: str) -> bool:
        """True when the reader has heard of some; False when it is time to look."""
        if not isinstance(self._reader, Pushing):
            await self._ports.clock.sleep_until(due_ms)
            return False
        due = asyncio.ensure_future(self._ports.clock.sleep_until(due_ms))
        told = asyncio.ensure_future(self._reader.news(url))
        try:
            await asyncio.wait((due, told), return_when=asyncio.FIRST_COMPLETED)
            if due.done():
                due.result()
            return told.done() and not due.done()
        finally:
            for each in (due, told):
                each.cancel()
            await asyncio.gather(due, told, return_exceptions=True)

    async def _poll(self, before: SourceRecord) -> SourceRecord:
        now_ms = await self._ports.clock.now_ms()
        after = await poll_once(before, self._reader, self._ports.publisher, self._ports.sources, now_ms)
        told = after.items_published - before.items_published
        if after.state == "degraded":
            self._log.warning("poll failed", error=after.last_error, failures=after.failures, due_ms=after.next_poll_ms)
        elif told or after.state != before.state:
            self._log.info("polled", state=after.state, items=told, skipped=after.items_skipped - before.items_skipped)
        return after
