"""The restarts of late, and what may follow: OTP's intensity, with growing pauses. Pure; no Ray, and no pydantic."""

from dataclasses import dataclass

MAX_RESTARTS, WITHIN_S = 5, 300
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
"""After the first, second, ... restart within that time; the last for all further ones."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When something was restarted, on a monotonic clock; the oldest first."""

    restarts: tuple[float, ...] = ()

    def restarted(self, now: float) -> "Rhythm":
        """One more restart; those that no longer count are forgotten."""
        return Rhythm((*self._recent(now), now))

    def is_over(self, now: float) -> bool:
        """True when one more would be more than MAX_RESTARTS within WITHIN_S."""
        return len(self._recent(now)) >= MAX_RESTARTS

    def may_restart(self, now: float) -> bool:
        """True when the pause after the last restart is over."""
        recent = self._recent(now)
        return not recent or now >= recent[-1] + PAUSES_S[min(len(recent), len(PAUSES_S)) - 1]

    def _recent(self, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.restarts if at > now - WITHIN_S)
