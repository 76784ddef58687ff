"""Planted bad luck, drawn from a seed: what happens to a process at one of its calls to the store.

Invariants: the same seed strikes the same calls; whatever strikes, a call is applied in whole or not at all; people
and tests (`CLIENT`) lose replies like everybody, but do not die.

Source: PROMISES 3c, 3e.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Protocol

CLIENT = "client"
"""The process of people and tests."""
PROMPT = 0.85  # of the messages take no time, where messages may be slow


class Fault(StrEnum):
    """What can happen at a call."""

    CRASH_BEFORE = "crash_before"
    CRASH_AFTER = "crash_after"
    LOST_CALL = "lost_call"
    """The connection breaks before the call arrives."""
    LOST_REPLY = "lost_reply"
    """The connection breaks after the call was applied."""
    DUPLICATE = "duplicate"
    """The call is applied twice, where its port says that this may be."""
    PAUSE = "pause"
    """The process stands still, longer than its lease, and then goes on."""
    OBITUARY = "obituary"
    """It is reported dead, and lives."""
    CLOCK_JUMP = "clock_jump"
    """The store's clock jumps forward by more than a lease."""
    LOST_SIGNAL = "lost_signal"
    """Who should have been roused sleeps on."""


DEADLY = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE, Fault.OBITUARY})

WRITES = frozenset(
    {"store.create", "store.deliver", "store.adopt", "store.record", "store.commit", "store.release", "store.renew"}
    | {"store.hold"}
    | {"journals.settle", "leases.reclaim", "timers.fire", "outbox.done", "outbox.bury", "projections.project"}
    | {"router.route", "router.route_all", "steering.rebudget", "steering.freeze", "steering.fork", "blocks.put"}
    | {"steering.order", "steering.brake", "pieces.begin", "pieces.add"}
)
"""Calls that may change what is stored."""

REPEATABLE = frozenset(
    {"store.deliver", "store.record", "store.renew", "journals.settle", "leases.reclaim", "timers.fire", "outbox.done"}
    | {"outbox.bury", "projections.project", "router.route", "steering.rebudget", "steering.freeze", "blocks.put"}
    | {"steering.order", "steering.brake", "router.route_all"}
)
"""Writes that may arrive twice and change things once. The others tell a repetition by its reply."""


class Nemesis(Protocol):
    """Who strikes, and when."""

    def strike(self, process: str, call: str) -> Fault | None:
        """What happens to `process` at this call."""
        ...

    def latency_s(self) -> float:
        """How long the next message to or from the store takes."""
        ...


class Peace:
    """Nothing ever happens."""

    def strike(self, process: str, call: str) -> Fault | None:
        return None

    def latency_s(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """How bad the luck is: out of a million calls, so many meet each fault."""

    name: str
    per_million: Mapping[Fault, int] = field(default_factory=lambda: MappingProxyType({}))
    slowest_s: float = 0.0
    """The slowest message; most take no time."""

    @staticmethod
    def drawn(random: Random) -> "Profile":
        """Some of the faults, each at its own rate: runs with few kinds reach deeper than runs with all.

        Source: Groce et al. 2012, swarm testing.
        """
        kinds = [kind for kind in Fault if random.random() < 0.5] or [random.choice(tuple(Fault))]
        rates = {kind: random.choice((2_000, 8_000, 30_000)) for kind in kinds}
        return Profile("+".join(kinds), MappingProxyType(rates), random.choice((0.0, 0.02, 0.5)))


class Storm:
    """Faults at the rates of a profile, until it is over."""

    def __init__(self, random: Random, profile: Profile) -> None:
        self.over = False
        self.struck: Counter[Fault] = Counter()
        self.profile = profile
        self._random = random
        self._ladder = tuple(profile.per_million.items())

    def strike(self, process: str, call: str) -> Fault | None:
        if self.over:
            return None
        drawn = self._random.random() * 1_000_000
        for kind, rate in self._ladder:
            drawn -= rate
            if drawn < 0:
                return self._fitting(kind, process, call)
        return None

    def latency_s(self) -> float:
        if self.over or not self.profile.slowest_s or self._random.random() < PROMPT:
            return 0.0
        return self.profile.slowest_s * self._random.random() ** 3

    def _fitting(self, kind: Fault, process: str, call: str) -> Fault | None:
        spared = (
            (process == CLIENT and kind in DEADLY)
            or (kind is Fault.DUPLICATE and call not in REPEATABLE)
            or ((kind is Fault.LOST_SIGNAL) != (call == "signals.wait"))
        )
        if spared:
            return None
        self.struck[kind] += 1
        return kind


@dataclass(slots=True)
class CutPoint:
    """One crash, at the n-th call of a run; nothing else happens. None never strikes."""

    at: int | None = None
    after: bool = True
    calls: int = 0
    cut: str | None = None
    """Who was cut at which call."""

    def strike(self, process: str, call: str) -> Fault | None:
        if call == "signals.wait":
            return None
        self.calls += 1
        if self.calls != self.at or process == CLIENT:
            return None
        self.cut = f"{process} {'after' if self.after else 'before'} {call}"
        return Fault.CRASH_AFTER if self.after else Fault.CRASH_BEFORE

    def latency_s(self) -> float:
        return 0.0
