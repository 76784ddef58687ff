"""What the kernel answers: one value with the rule behind each part of it.

Source: spec/05 section 2.
"""

from dataclasses import dataclass
from enum import StrEnum

from maestro.policy.gradient import Pressure, Step, Tier
from maestro.policy.price import Cost

POLICY_VERSION = 1
"""Grows when the same question may get another answer; it is journaled with every decision."""


class Mode(StrEnum):
    """When the call happens."""

    SYNC = "sync"
    ASYNC = "async"
    BATCH = "batch"
    YIELD = "yield"


class Place(StrEnum):
    """Where the work happens."""

    INLINE = "inline"
    SPAWN = "spawn"


class Reason(StrEnum):
    """The rule that fired."""

    AS_ASKED = "as_asked"
    DOWNSHIFT = "downshift"
    FLOOR = "floor"
    COST_GUARD = "cost_guard"
    NO_SAVING = "no_saving"
    PINNED = "pinned"
    OVERRIDE = "override"
    CONFINED = "confined"
    BOUNDED = "bounded"
    BUDGET_OUT = "budget_out"
    DEADLINE_PASSED = "deadline_passed"
    TURNS_USED = "turns_used"
    NOT_ALLOWED = "not_allowed"
    PROVIDERS_DOWN = "providers_down"
    URGENT = "urgent"
    QUEUE_DEEP = "queue_deep"
    BATCHED = "batched"
    SLOW = "slow"
    PROMPT = "prompt"
    AS_WISHED = "as_wished"
    LARGE_PART = "large_part"
    SMALL_PART = "small_part"
    NO_ROOM = "no_room"
    WORTH_IT = "worth_it"
    UNTESTED = "untested"
    NOT_WORTH_IT = "not_worth_it"


RULES: dict[Reason, str] = {
    Reason.AS_ASKED: "nothing presses below the asked step: it stands",
    Reason.DOWNSHIFT: "the budget runs down: one tier lower, with an advisor",
    Reason.FLOOR: "little of the budget is left: everything runs on plain haiku",
    Reason.COST_GUARD: "the tabled step would not lower the price: the next cheaper one is taken",
    Reason.NO_SAVING: "no allowed step is cheaper than the asked one: it stays",
    Reason.PINNED: "the step is pinned, and overrides are allowed",
    Reason.OVERRIDE: "priority P0 skips the gradient, and overrides are allowed",
    Reason.CONFINED: "the asked step is not allowed here: the next one down that is allowed is taken",
    Reason.BOUNDED: "the wanted step cannot be paid: the next one down that can is taken",
    Reason.BUDGET_OUT: "no step can be paid: wait for budget",
    Reason.DEADLINE_PASSED: "the deadline has passed: stop with the best finding",
    Reason.TURNS_USED: "it has had its turns: stop with the best finding",
    Reason.NOT_ALLOWED: "neither the asked step nor one below it is allowed here: stop with the best finding",
    Reason.PROVIDERS_DOWN: "no provider is up: come back later",
    Reason.URGENT: "critical, or near its deadline: now",
    Reason.QUEUE_DEEP: "the dispatch queue is deep and nothing presses: come back later",
    Reason.BATCHED: "P2 work that may be batched",
    Reason.SLOW: "the answer is expected to take longer than a tick should: asynchronously",
    Reason.PROMPT: "nothing speaks against waiting for the answer inside the tick",
    Reason.AS_WISHED: "the behaviour says how soon it wants the answer, and nothing presses",
    Reason.LARGE_PART: "a large independent part: a child does it, with a share of the budget",
    Reason.SMALL_PART: "small, or needed here: inline",
    Reason.NO_ROOM: "a large independent part, but no further child may live: inline",
    Reason.WORTH_IT: "the expected gain exceeds the price, weighted by scarcity",
    Reason.UNTESTED: "the marginal value was not tested: the price alone stops nothing",
    Reason.NOT_WORTH_IT: "the price, weighted by scarcity, exceeds the expected gain: stop with the best finding",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """Which step, when, where, and whether to go on.

    Invariants: with `go_on` false nothing is called; with mode `yield` nothing is called yet.
    """

    step: Step
    mode: Mode
    place: Place
    go_on: bool
    reason: Reason
    """Of the step, or of what keeps it from being taken."""
    mode_reason: Reason
    place_reason: Reason
    value_reason: Reason
    cost: Cost
    """What the step takes at most: the amount to reserve."""
    pressure: Pressure = Pressure.NONE
    alerts: tuple[str, ...] = ()
    """Resources spent beyond the alert threshold."""
    resume_in_ms: int | None = None
    """With mode `yield`: when to ask again; None waits for budget instead."""
    lacking: str | None = None
    """With reason `budget_out`: the resource that cannot pay."""
    version: int = POLICY_VERSION

    @property
    def tier(self) -> Tier:
        """The tier that executes."""
        return self.step.tier

    @property
    def advisor(self) -> bool:
        """True when the executor may consult an advisor."""
        return self.step.advisor

    @property
    def rule(self) -> str:
        """The text of the rule that decided."""
        return RULES[self.reason]

    def __str__(self) -> str:
        """One line for people: the four answers and the rule."""
        verdict = f"{self.step} {self.mode} {self.place}" if self.go_on else "stop"
        return f"{verdict}: {self.rule}"
