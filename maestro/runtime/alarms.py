"""Alarms: a person is told when most of what one may spend is spent.

Invariants: each alert is one event of the mesh (`budget.alert.ID`), committed with the payment that crossed the border,
and waits here until people were told, where there is a way to them; they are told at least once, under one key.
A failure is tried again at the next look, and holds up nothing else.

What is not here: when a border is crossed (`maestro.budget.standing`), and how the event goes its way (the outbox).
Source: issue 6, Build 1; spec/05 section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, JsonValue

from maestro.budget.vector import USD, format_usd
from maestro.errors import NotificationFailed
from maestro.ids import ContinuationId, EventId, Partition, TenantId, TimeMs
from maestro.mesh.event import Event

log = structlog.get_logger()

LEDGER = "ledger"
"""Who says so."""


class Alarm(BaseModel):
    """One alert that people have not been told of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    """The same for every try to tell it."""
    cid: str
    resource: str
    spent: int
    granted: int | None = None
    soft_cap: int | None = None

    @property
    def text(self) -> str:
        """What people read."""
        cap = min(limit for limit in (self.granted, self.soft_cap) if limit is not None)
        return f"{self.cid} has spent {self._amount(self.spent)} of {self._amount(cap)} ({self.resource})"

    @property
    def hint(self) -> str:
        """What they can do."""
        more = "+1.00" if self.resource == USD else f"+{max(1, self.spent)}"
        return f"maestro why {self.cid}; more: maestro rebudget {self.cid} {self.resource}={more}"

    def _amount(self, amount: int) -> str:
        return format_usd(amount) if self.resource == USD else str(amount)


def crossed(cid: ContinuationId, number: int, told: Mapping[str, object], at_ms: TimeMs, tenant: TenantId) -> Event:
    """The `number`-th crossing of `cid` as one event: `budget.alert.ID`, or `budget.pressure.ID`.

    The store's scripts make the same (tell_crossing in lib.lua).
    """
    kind, key = str(told["type"]), f"{cid}:{number}"
    payload: dict[str, JsonValue] = orjson.loads(orjson.dumps(told))
    return Event(
        id=EventId(f"budget:{key}"), subject=f"budget.{kind.removeprefix('budget_')}.{cid}", type=kind, source=LEDGER,
        key=key, payload=payload, time_ms=at_ms, tenant=tenant, taint="trusted",
    )  # fmt: skip


class Alarms(Protocol):
    """Where alerts wait for people."""

    async def waiting(self, partition: Partition, limit: int = 256) -> Sequence[Alarm]:
        """Those that nobody was told of."""
        ...

    async def told(self, partition: Partition, keys: Sequence[str]) -> None:
        """These are told; repeated, it changes nothing."""
        ...


class Crier(Protocol):
    """Whoever is told of alarms, on the way to people."""

    async def alarm(self, alarm: Alarm) -> None:
        """The people are told; told twice under one key is told once, where the way to them allows.

        Raises:
            NotificationFailed: they were not.
        """
        ...


@dataclass(slots=True)
class Watchman:
    """Tells alarms; without a way to people the event alone tells of them."""

    alarms: Alarms
    partitions: int
    crier: Crier | None = None

    async def look(self) -> None:
        """What waits is told, each as far as people can be told now."""
        for number in range(self.partitions):
            for alarm in await self.alarms.waiting(Partition(number)):
                if await self._told(alarm):
                    await self.alarms.told(Partition(number), [alarm.key])

    async def _told(self, alarm: Alarm) -> bool:
        if self.crier is None:
            return True
        try:
            await self.crier.alarm(alarm)
        except NotificationFailed as error:
            log.warning("alarm_not_told", continuation=alarm.cid, error=error.message)
            return False
        return True
