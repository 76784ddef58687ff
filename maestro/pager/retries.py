"""How patient a call is: how often a target is tried, how long is waited in between, how long it is left alone.

Not here: who is tried next (`failover`), and that a target is left alone by all pagers (`notices`).
Source: spec/05 section 7; spec/09 section 8.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from maestro.errors import ModelError
from maestro.pager.dispatch import Mode
from maestro.pager.request import ModelRequest


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _sleep_ms(ms: int) -> None:
    await asyncio.sleep(ms / 1000)


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and chance as this process has them; tests put their own here."""

    now_ms: Callable[[], int] = _monotonic_ms
    sleep_ms: Callable[[int], Awaitable[None]] = _sleep_ms
    chance: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a call is."""

    max_retries: int = 3
    """Per target, after its first try."""
    attempt_timeout_ms: int = 60_000
    backoff_ms: int = 500
    backoff_cap_ms: int = 8_000
    patience_ms: int = 5_000
    """A Retry-After beyond this is not waited for inside the call: another target is asked, or the tick sleeps."""
    retry_after_cap_ms: int = 300_000
    cooldown_ms: int = 15_000
    refused_key_ms: int = 900_000
    """How long nobody asks a target that has refused the key; somebody has to mend it first."""
    braked_ms: int = 5_000
    """When a call that the brake stopped may come back."""
    failover: bool = True

    def limit_ms(self, request: ModelRequest, left_ms: int) -> int:
        """How long one attempt may take: all that is left where no process waits for it."""
        return min(self.attempt_timeout_ms, left_ms) if request.mode is Mode.SYNC else left_ms

    def pause_ms(self, error: ModelError, retry: int, chance: float) -> int:
        """Full jitter over a doubling span, and never less than the provider asked for."""
        span_ms = min(self.backoff_cap_ms, self.backoff_ms << retry)
        jittered_ms = round(span_ms * (0.5 + chance / 2))
        return max(min(jittered_ms, self.patience_ms), self.retry_after_ms(error))

    def retry_after_ms(self, error: ModelError) -> int:
        """When the provider wants to be asked again, as far as that is believed."""
        asked_ms = error.facts.get("retry_after_ms")
        return max(0, min(asked_ms, self.retry_after_cap_ms)) if isinstance(asked_ms, int) else 0
