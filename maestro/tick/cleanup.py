"""Cleaning up before the end that somebody asked for: one try, on a small budget, until a deadline.

Invariants: whatever the hook does, the continuation ends: it may fail, take too long or run out of money; what it had
decided until then counts only if it returned in time. Its effects are journaled behind those of any tick.
"""

import asyncio
from typing import Any

import structlog
from pydantic import JsonValue

from maestro.continuation.directive import Act
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

log = structlog.get_logger()

FIRST_ORDINAL = 10_000  # of its effects: the tick that the cancel interrupted has the places before


def cleans_up(behaviour: type[Behaviour[Any]]) -> bool:
    """True when it has anything to do at a cancel."""
    return behaviour.on_cancel is not Behaviour.on_cancel


async def cleaned_up(behaviour: type[Behaviour[Any]], tick: Tick[Any]) -> tuple[JsonValue, tuple[Act, ...]] | None:
    """The state and the acts that the hook leaves; None when it failed or was too late."""
    trying = asyncio.ensure_future(behaviour().on_cancel(tick))
    trying.add_done_callback(lambda over: over.cancelled() or over.exception())  # what it raises too late, nobody asks
    try:
        done, _ = await asyncio.wait({trying}, timeout=behaviour.cancel_deadline_ms / 1000)
        if not done:
            log.warning("cancel_overran", deadline_ms=behaviour.cancel_deadline_ms)
            return None
        trying.result()
        return tick.state.model_dump(mode="json"), tick.acts
    except Exception as error:  # noqa: BLE001 - user code may raise anything
        log.warning("cancel_failed", error=f"{type(error).__name__}: {error}")
        return None
    finally:
        trying.cancel()  # not waited for: a hook that will not stop holds nothing up, and can write nothing any more
