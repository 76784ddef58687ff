"""A circuit breaker: after so many failures in a row a tool is left alone for a while, then tried by one call.

    closed --5 failures in a row--> open --after the pause--> half-open --success--> closed
                                      ^-------------------failure---------------'

Invariants: pure; half-open lets one call through at a time; any success closes it.

Source: spec/04 section 6 (A-36).
"""

from dataclasses import dataclass, replace

THRESHOLD = 5
PAUSE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is remembered of one tool."""

    failures: int = 0
    opened_ms: int | None = None
    trying_since_ms: int | None = None
    """Since when the one call of half-open is under way."""

    def retry_in_ms(self, now_ms: int) -> int:
        """How long no call is let through; 0 when one is now."""
        since = self.opened_ms if self.trying_since_ms is None else self.trying_since_ms
        return 0 if since is None else max(0, since + PAUSE_MS - now_ms)

    def begun(self, now_ms: int) -> "Breaker":
        """A call was let through."""
        return self if self.opened_ms is None else replace(self, trying_since_ms=now_ms)

    def succeeded(self) -> "Breaker":
        return CLOSED

    def failed(self, now_ms: int) -> "Breaker":
        failures = self.failures + 1
        opens = failures >= THRESHOLD or self.opened_ms is not None
        return Breaker(failures, now_ms if opens else None)


CLOSED = Breaker()
