"""How an account stands: which borders of the specification it has crossed, and what is told when it crosses one.

    80 % of the soft cap is spent    -> one `budget_alert`; armed again when it is less
    60 %, 30 % of it are left        -> one `budget_pressure` for each change, in both directions

Without a soft cap, what was granted is the cap.

Invariants: pure integer arithmetic, exact up to the largest amount; a border counts as crossed when it is reached.
What is reserved is not gone yet: a reservation that is given back has crossed nothing. The policy kernel, which must
not count on it, counts it as gone. What is unlimited, or forbidden from the start, crosses nothing.

The store's scripts do the same arithmetic (standings in lib.lua).
Source: spec/05 section 4; the three numbers are those of maestro.policy.gradient.Thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from maestro.budget.ledger import Account, Ledger

ALERT_USED, DOWNSHIFT_REMAINING, FLOOR_REMAINING = 800, 600, 300  # thousandths


class Level(IntEnum):
    """How little is left."""

    NONE = 0
    DOWNSHIFT = 1
    FLOOR = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """How one account stands."""

    level: Level = Level.NONE
    alerted: bool = False


AT_EASE = Standing()
Standings = Mapping[str, Standing]
"""By resource; who is not named is at ease."""
NOBODY_SHORT: Standings = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Crossing:
    """One border that was crossed; `to` is None where it is the alert."""

    resource: str
    account: Account
    since: Level = Level.NONE
    to: Level | None = None

    def fact(self, cid: str, at_ms: int) -> dict[str, object]:
        """What the feed tells of it."""
        of: dict[str, object] = {"cid": cid, "resource": self.resource, "at_ms": at_ms}
        of |= {} if self.account.granted is None else {"granted": self.account.granted}
        of |= {} if self.account.soft is None else {"soft_cap": self.account.soft}
        if self.to is None:
            return {"type": "budget_alert", **of, "spent": self.account.spent}
        moved = {"from": self.since.name.lower(), "to": self.to.name.lower(), "left": left(self.account)}
        return {"type": "budget_pressure", **of, **moved}


def standing(account: Account) -> Standing:
    """How `account` stands."""
    cap = account.cap
    if not cap:
        return AT_EASE
    remains = left(account)
    level = Level(sum(remains <= part_of(cap, border) for border in (DOWNSHIFT_REMAINING, FLOOR_REMAINING)))
    return Standing(level, cap - account.spent <= part_of(cap, 1_000 - ALERT_USED))


def left(account: Account) -> int:
    """What is neither spent nor lent of the cap; below zero beyond a soft one."""
    return (account.cap or 0) - account.spent - account.lent


def part_of(granted: int, permille: int) -> int:
    """So many thousandths, rounded down; no step leaves the integers that a script can count in."""
    whole, rest = divmod(granted, 1_000)
    return whole * permille + rest * permille // 1_000


def looked_at(before: Standings, ledger: Ledger) -> tuple[dict[str, Standing], list[Crossing]]:
    """How every account stands now, and what was crossed since `before`, by resource."""
    found = {name: standing(account) for name, account in sorted(ledger.accounts.items())}
    crossed: list[Crossing] = []
    for name, now in found.items():
        was, account = before.get(name, AT_EASE), ledger.accounts[name]
        if now.level is not was.level:
            crossed.append(Crossing(name, account, was.level, now.level))
        if now.alerted and not was.alerted:
            crossed.append(Crossing(name, account))
    return {name: now for name, now in found.items() if now != AT_EASE}, crossed
