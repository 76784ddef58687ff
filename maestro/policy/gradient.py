"""The gradient: five steps of reasoning, three levels of pressure, and the table that joins them.

Invariants:
- only these five steps exist, and none of them names a model;
- pressure never moves a step up the ladder;
- a downshift that would not lower the expected price is not made.

What it is not: it knows no bounds (can it be paid?) and no schedule (when?); see `kernel`.

Source: spec/05 sections 3 and 4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from maestro.budget.ledger import Account
from maestro.budget.vector import EXPENSIVE_MODEL_CALLS, USD

Accounts = Mapping[str, Account]
"""The accounts of one ledger, by resource; a resource that is not named is unlimited."""
Path = tuple[Accounts, ...]
"""Every ledger that must bear a charge, the continuation's own first."""


class Tier(StrEnum):
    """A class of models; the pager resolves it to providers, per tenant."""

    OPUS = "opus"
    SONNET = "sonnet"
    HAIKU = "haiku"


class Step(StrEnum):
    """A tier with or without an advisor, from the dearest to the cheapest."""

    OPUS = "opus"
    SONNET_ADVISOR = "sonnet+advisor"
    SONNET = "sonnet"
    HAIKU_ADVISOR = "haiku+advisor"
    HAIKU = "haiku"

    @property
    def tier(self) -> Tier:
        """The tier that executes."""
        return _TIERS[self]

    @property
    def advisor(self) -> bool:
        """True when the executor may consult an opus advisor."""
        return self is Step.SONNET_ADVISOR or self is Step.HAIKU_ADVISOR


_TIERS = dict(zip(Step, (Tier.OPUS, Tier.SONNET, Tier.SONNET, Tier.HAIKU, Tier.HAIKU), strict=True))
LADDER = tuple(Step)


class Pressure(IntEnum):
    """How little is left; ordered, so that `max` is the worse."""

    NONE = 0
    DOWNSHIFT = 1
    FLOOR = 2


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where pressure begins, in thousandths of the cap; a value on the border counts as reached."""

    alert_used_permille: int = 800
    downshift_remaining_permille: int = 600
    floor_remaining_permille: int = 300


class Relief(StrEnum):
    """What pressure did to the asked step; each word is a reason code of the decision too."""

    AS_ASKED = "as_asked"
    DOWNSHIFT = "downshift"
    FLOOR = "floor"
    COST_GUARD = "cost_guard"
    NO_SAVING = "no_saving"


@dataclass(frozen=True, slots=True)
class Strain:
    """The pressure on each resource that moves the gradient."""

    usd: Pressure
    expensive_calls: Pressure

    @property
    def worst(self) -> Pressure:
        """The one that the table is read with."""
        return max(self.usd, self.expensive_calls)


def strain(path: Path, thresholds: Thresholds) -> Strain:
    """The pressures of `path`: per resource the tightest account decides, and an unlimited one has none."""
    return Strain(_pressure(USD, path, thresholds), _pressure(EXPENSIVE_MODEL_CALLS, path, thresholds))


def alerted(path: Path, thresholds: Thresholds) -> tuple[str, ...]:
    """The resources of which `alert_used` or more is spent, in any account of the path, sorted."""
    used = thresholds.alert_used_permille
    names = {
        name
        for accounts in path
        for name, account in accounts.items()
        if account.cap and account.spent * 1000 >= account.cap * used
    }
    return tuple(sorted(names))


def tabled(asked: Step, level: Pressure) -> Step:
    """The step that the table of spec/05 section 4 names; crossing a tier boundary turns the advisor on."""
    match asked, level:
        case _, Pressure.NONE:
            return asked
        case _, Pressure.FLOOR:
            return Step.HAIKU
        case Step.OPUS, _:
            return Step.SONNET_ADVISOR
        case Step.SONNET_ADVISOR | Step.SONNET, _:
            return Step.HAIKU_ADVISOR
        case _:
            return asked


def relieve(steps: Sequence[Step], felt: Strain, price: Callable[[Step], int]) -> tuple[Step, Relief]:
    """The step to take under the strain `felt`, and what led to it.

    A tabled step that is not cheaper than the asked one, or not allowed, falls through to the next cheaper step; where
    none is cheaper, as with a large warm prefix, the asked step stays. Only a floor of expensive calls outweighs this.

    Args:
        steps: the asked step and, in the order of the ladder, those below it that are allowed.
        price: the expected micro-dollars of a step.
    """
    asked, lowest = steps[0], steps[-1]
    if tabled(asked, felt.worst) is asked:
        return asked, Relief.AS_ASKED
    shifted = _first_cheaper(steps, tabled(asked, Pressure.DOWNSHIFT), price)
    if felt.worst is Pressure.DOWNSHIFT or lowest is not Step.HAIKU:
        return shifted
    if felt.expensive_calls is Pressure.FLOOR or price(lowest) < price(shifted[0]):
        return lowest, Relief.FLOOR
    return shifted


def _first_cheaper(steps: Sequence[Step], target: Step, price: Callable[[Step], int]) -> tuple[Step, Relief]:
    asked = steps[0]
    ceiling = price(asked)
    for step in LADDER[LADDER.index(target) :]:
        if step in steps and price(step) < ceiling:
            return step, Relief.DOWNSHIFT if step is target else Relief.COST_GUARD
    return asked, Relief.NO_SAVING


def _pressure(resource: str, path: Path, thresholds: Thresholds) -> Pressure:
    worst = Pressure.NONE
    for accounts in path:
        account = accounts.get(resource)
        if account is None or account.cap is None:
            continue
        left = account.cap - account.reserved - account.spent - account.lent
        if left * 1000 <= account.cap * thresholds.floor_remaining_permille:
            return Pressure.FLOOR
        if left * 1000 <= account.cap * thresholds.downshift_remaining_permille:
            worst = Pressure.DOWNSHIFT
    return worst
