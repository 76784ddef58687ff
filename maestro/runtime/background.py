"""The one event loop on which the synchronous forms of the client run their asynchronous ones."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

R = TypeVar("R")


class _Loop:
    """One background event loop per process, made at the first synchronous call."""

    _lock = threading.Lock()
    _loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def run(cls, work: Coroutine[Any, Any, R]) -> R:
        with cls._lock:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="maestro-client", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, cls._loop).result()


def run_sync(work: Coroutine[Any, Any, R]) -> R:
    """The result of `work`, run on the background event loop that the synchronous forms share."""
    return _Loop.run(work)


def each(told: AsyncGenerator[R, None]) -> Iterator[R]:
    """What `told` yields, one by one; it is closed with the iteration."""
    try:
        while True:
            some = run_sync(_next(told))
            if not some:
                return
            yield some[0]
    finally:
        run_sync(told.aclose())


async def _next(told: AsyncGenerator[R, None]) -> tuple[R] | tuple[()]:
    """What it yields next; nothing at its end."""
    try:
        return (await anext(told),)
    except StopAsyncIteration:
        return ()
