"""What an actor needs before it is ready: reached as soon as it is there.

A store or a pager that is away while an actor starts is waited for, and not taken for the actor's own failure: a failed
first start ends its supervisor, that one's supervisor and so the whole tree, which then has to start again.

Not here: how long that may take. Who starts the actor says so (`ready_ms`), and gives it up then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from maestro.errors import ProviderUnavailable, StoreFull, StoreUnavailable

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
AWAY = (StoreUnavailable, StoreFull, ProviderUnavailable)
"""What passes without anybody's doing at the actor; all else is its failure."""

T = TypeVar("T")

log = structlog.get_logger()


async def patiently(reach: Callable[[], Awaitable[T]]) -> T:
    """What `reach` returns, as soon as what it reaches for is there."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await reach()
        except AWAY as error:
            log.warning("not reached yet", error=repr(error), again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
