"""Which fault strikes when: a pure function of profile, seed and length.

Invariants: the same three give the same strikes, whatever machine, process or Python draws them; a strike is healed
before the next begins, so that each heal can be held to its own recovery.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from maestro.chaos.catalogue import BOTH, PROFILES, Wound
from maestro.errors import InvalidInput

EVERY_S = 20.0
FIRST_S = 5.0  # the workload runs unharmed for so long
LONGEST_SHARE = 0.5  # of the time to the next strike: the rest is for the recovery


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, from when for how long, on which of those it may meet."""

    at_ms: int
    wound: Wound
    for_ms: int
    victim: int
    """Which of the candidates, modulo how many there are then."""


def draw(profile: str, seed: int, minutes: float, every_s: float = EVERY_S, ground: str = "cluster") -> list[Strike]:
    """The strikes of a run, in order.

    Raises:
        InvalidInput: no such profile, or none of its faults can be inflicted there.
    """
    if profile not in PROFILES:
        raise InvalidInput(f"no profile {profile!r}", field="profile", hint=f"one of {', '.join(PROFILES)}")
    if ground not in BOTH:
        raise InvalidInput(f"no ground {ground!r}", field="ground", hint=f"one of {', '.join(BOTH)}")
    wounds = [wound for wound in PROFILES[profile] if ground in wound.grounds]
    if not wounds:
        raise InvalidInput(
            f"profile {profile!r} has no fault for plain processes", field="profile", hint="run it on the cluster"
        )
    random = Random(f"{profile} {seed}")  # noqa: S311 - a schedule is no secret; text seeds are stable over versions
    strikes, at_s, deck = [], FIRST_S, list[Wound]()
    while at_s < minutes * 60:
        deck = deck or _shuffled(wounds, random)
        wound = deck.pop()
        for_s = min(random.uniform(*wound.lasts_s), every_s * LONGEST_SHARE)
        strikes.append(Strike(int(at_s * 1000), wound, int(for_s * 1000), random.randrange(1_000)))
        at_s += every_s
    return strikes


def _shuffled(wounds: Sequence[Wound], random: Random) -> list[Wound]:
    """Each once before any comes again: a short run meets as many kinds as fit into it."""
    deck = list(wounds)
    random.shuffle(deck)
    return deck
