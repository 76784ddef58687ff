"""What is nearly spent is told of: one event for each crossing, and people for each alert, whoever dies in between."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from maestro.budget.standing import Level
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import NotificationFailed
from maestro.ids import ContinuationId, partition_of
from maestro.mesh.event import Event
from maestro.runtime import moneys, verbs
from maestro.runtime.alarms import Alarm, Watchman
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.contract.support import money
from tests.stage import CHARGE_USD_MICROS, Stage


class Heard(BaseModel):
    heard: list[str] = []
    felt: list[str] = []


class Spender(Behaviour[Heard]):
    """Spends what one call costs for each message."""

    async def start(self, tick: Tick[Heard]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        tick.state.felt.append(tick.pressure().name.lower())
        await tick.think("what now?", step="haiku")
        return Sleep.until_woken()


class Warden(Behaviour[Heard]):
    """Hears of all budgets."""

    async def start(self, tick: Tick[Heard]) -> Closing | None:
        tick.subscribe("budget.>")
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Heard], event: Event) -> Closing | None:
        told: Any = event.payload
        tick.state.heard.append(f"{event.type} {told.get('to', told.get('spent'))}")
        return Sleep.until_woken()


class Desk:
    """People, who may be away."""

    def __init__(self) -> None:
        self.told: list[Alarm] = []
        self.away = False

    async def alarm(self, alarm: Alarm) -> None:
        if self.away:
            raise NotificationFailed("nobody is there")
        self.told.append(alarm)


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Spender, Warden)
    yield stage
    await stage.audit()


async def spending(stage: Stage, soft: int | None = None, calls: int = 0) -> ContinuationId:
    cid = await stage.start(Spender, budget=money(usd=1_000_000))
    await stage.settle()
    if soft is not None:
        await moneys.soften(stage.at, cid, money(usd=soft))
    await spend(stage, cid, calls)
    return cid


async def spend(stage: Stage, cid: ContinuationId, calls: int) -> None:
    for _ in range(calls):
        await verbs.send(stage.at, cid, None)
        await stage.settle()


async def facts(stage: Stage, cid: ContinuationId) -> list[str]:
    told = [orjson.loads(fact.body) for fact in await stage.backend.records.feed(partition_of(cid), limit=10_000)]
    return [
        f"{f['type']} {f.get('to', f.get('spent'))}" for f in told if f["type"] in ("budget_alert", "budget_pressure")
    ]


@pytest.mark.spec("05.11")
async def test_each_crossing_is_one_event_that_another_may_hear(stage: Stage) -> None:
    warden = await stage.start(Warden)
    await stage.settle()
    cid = await spending(stage, soft=10 * CHARGE_USD_MICROS, calls=9)
    heard = (await stage.state(warden))["heard"]
    assert heard == ["budget_pressure downshift", "budget_pressure floor", f"budget_alert {8 * CHARGE_USD_MICROS}"]
    assert heard == await facts(stage, cid)


@pytest.mark.spec("05.11")
async def test_who_is_short_hears_it_as_pressure_in_its_tick(stage: Stage) -> None:
    cid = await spending(stage, soft=10 * CHARGE_USD_MICROS, calls=9)
    assert (await stage.state(cid))["felt"] == ["none"] * 4 + ["downshift"] * 3 + ["floor"] * 2
    assert Level.NONE < Level.DOWNSHIFT < Level.FLOOR


async def test_a_soft_cap_that_is_exceeded_when_it_is_set_is_told_of_at_once(stage: Stage) -> None:
    cid = await spending(stage, calls=3)
    assert await facts(stage, cid) == []
    await moneys.soften(stage.at, cid, money(usd=2 * CHARGE_USD_MICROS))
    assert await facts(stage, cid) == ["budget_pressure floor", f"budget_alert {3 * CHARGE_USD_MICROS}"]
    await moneys.soften(stage.at, cid, money(usd=2 * CHARGE_USD_MICROS))
    assert len(await facts(stage, cid)) == 2


async def test_people_are_told_of_each_alert_however_often_it_takes(stage: Stage) -> None:
    desk = Desk()
    watchman = Watchman(stage.backend.alarms, stage.backend.partitions, desk)
    cid = await spending(stage, soft=10 * CHARGE_USD_MICROS, calls=7)
    await watchman.look()
    assert desk.told == [], "pressure alone is nobody's business"
    await spend(stage, cid, 2)
    desk.away = True
    await watchman.look()
    desk.away = False
    await watchman.look()
    await watchman.look()
    (alarm,) = desk.told
    assert alarm.text == f"{cid} has spent $0.00028 of $0.00035 (usd)"
    assert (alarm.spent, alarm.resource) == (8 * CHARGE_USD_MICROS, "usd")
    await stage.backend.alarms.told(partition_of(cid), [alarm.key])


async def test_without_a_way_to_people_alarms_do_not_pile_up(stage: Stage) -> None:
    cid = await spending(stage, soft=2 * CHARGE_USD_MICROS, calls=2)
    assert len(await stage.backend.alarms.waiting(partition_of(cid))) == 1
    await Watchman(stage.backend.alarms, stage.backend.partitions).look()
    assert await stage.backend.alarms.waiting(partition_of(cid)) == []
