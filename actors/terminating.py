"""SIGTERM as a wish to end in order, for an actor that can.

Ray's worker ends at once on SIGTERM: its handler raises SystemExit on the main thread, on which an actor with an event
loop never runs, and there is no way to set another handler from the actor's own thread. But the handler calls a
function of Ray's by its name, and that can be another one (ray._private.worker, 2.60; pyproject holds Ray below 2.61,
and tests/integration/test_overtaken.py fails if it changes).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ray._private import worker as ray_worker

_ENDING = "raise_sys_exit_with_custom_error_message"


def on_sigterm(end: Callable[[], object]) -> None:
    """From now on SIGTERM makes `end` run in the event loop that runs now, once, however often it comes."""
    loop, heard = asyncio.get_running_loop(), False

    def hear(*_: Any, **__: Any) -> None:
        nonlocal heard
        if not heard:
            heard = True
            loop.call_soon_threadsafe(end)

    setattr(ray_worker, _ENDING, hear)
