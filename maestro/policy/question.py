"""What the kernel is asked: everything that a decision depends on, as one value.

Invariants: no clock, no handle, nothing that could be read later; equal questions get equal decisions.
A question is checked where it is made, so that `decide` is total.

Source: spec/05 section 2.
"""

from dataclasses import dataclass
from enum import StrEnum

from maestro.errors import InvalidInput
from maestro.policy.decision import Mode
from maestro.policy.gradient import Path, Step, Thresholds, Tier
from maestro.policy.price import AdvisorTerms, CallSize, PriceTable

MAX_DOMAIN = 64  # characters: it stands in each row of what was spent


class TaskKind(StrEnum):
    """What the call is for; the kinds of spec/05 section 3."""

    PLANNING = "planning"
    REASONING = "reasoning"
    EVALUATION = "evaluation"
    SYNTHESIS = "synthesis"
    DRAFTING = "drafting"
    ANALYSIS = "analysis"
    COMPARISON = "comparison"
    EXTRACTION = "extraction"
    CLASSIFICATION = "classification"
    TAGGING = "tagging"
    RERANKING = "reranking"


class Priority(StrEnum):
    """P0 critical, P1 standard, P2 may be batched."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known about the work; shares lie within 0..1."""

    kind: TaskKind = TaskKind.ANALYSIS
    complexity: float = 0.5
    domain: str = ""
    """What field it belongs to, such as `biology`; it decides nothing, and stands beside what the call cost."""
    novelty: float = 0.0
    uncertainty: float = 1.0
    """How much of the question is still open."""
    priority: Priority = Priority.P1
    value_usd_micros: int | None = None
    """What a full answer is worth; None leaves the marginal value untested."""
    batchable: bool = False
    independent: bool = False
    """True when the work needs nothing else of this tick, so that a child could do it."""
    mode: Mode | None = None
    """How soon the behaviour wants the answer: sync, async or batch; None leaves it to the conditions."""

    def __post_init__(self) -> None:
        for name in ("complexity", "novelty", "uncertainty"):
            if not 0 <= getattr(self, name) <= 1:
                raise _invalid(name, getattr(self, name), "give a share within 0..1")
        if len(self.domain) > MAX_DOMAIN:
            raise _invalid("domain", self.domain[:MAX_DOMAIN], f"name it in {MAX_DOMAIN} characters")
        if self.value_usd_micros is not None:
            _check_count("value_usd_micros", self.value_usd_micros)
        if self.mode is Mode.YIELD:
            raise _invalid("mode", self.mode, "ask for sync, async or batch")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the surroundings are like at this moment."""

    deadline_in_ms: int | None = None
    queue_depth: int = 0
    providers_up: bool = True
    expected_latency_ms: int = 0
    turns_left: int | None = None
    children_left: int | None = None
    """How many more may live at the same time."""
    depth_left: int | None = None
    """How much deeper the tree may grow; None of the three means as much as one likes."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The settings of layer C."""

    urgent_ms: int = 60_000
    """A deadline nearer than this makes the call urgent."""
    deep_queue: int = 200
    queue_retry_ms: int = 30_000
    provider_retry_ms: int = 60_000
    patience_ms: int = 120_000
    """A call that is expected to take longer is not waited for inside the tick."""
    spawn_from_tokens: int = 20_000


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """The kernel's settings; under which name and version they were written is journaled with every decision."""

    policy: str = "shipped@1"
    """Name and version of the text that said so; it decides nothing."""
    thresholds: Thresholds = Thresholds()
    advisor: AdvisorTerms = AdvisorTerms()
    advisor_enabled: bool = True
    allowed_tiers: frozenset[Tier] = frozenset(Tier)
    allow_override: bool = False
    """True lets a pin or P0 skip layer B; never layer A."""
    schedule: Schedule = Schedule()


@dataclass(frozen=True, slots=True)
class Question:
    """One decision to make."""

    size: CallSize
    prices: PriceTable
    asked: Step | None = None
    """The step that the behaviour asks for; None leaves it to the signals."""
    signals: Signals = Signals()
    budget: Path = ()
    """The accounts that must bear the charge; none means unlimited."""
    conditions: Conditions = Conditions()
    config: PolicyConfig = PolicyConfig()
    pinned: bool = False

    def __post_init__(self) -> None:
        for tier in Tier:
            if tier not in self.prices:
                raise _invalid("prices", sorted(self.prices), f"give a price for the tier {tier}")
        for name in ("input_tokens", "output_tokens", "cached_prefix_tokens"):
            _check_count(name, getattr(self.size, name))


def _check_count(name: str, value: int) -> None:
    if value < 0:
        raise _invalid(name, value, "give an integer of 0 or more")


def _invalid(name: str, value: object, hint: str) -> InvalidInput:
    return InvalidInput(f"{value!r} is no valid {name}", field=f"policy.{name}", hint=hint)
