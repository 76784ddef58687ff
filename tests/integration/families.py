"""Families that live by themselves: behaviours that beget, listen and count, and a runtime under them."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.redis.backend import open_backend
from maestro.behaviours.counter import Counter
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, TenantId, new_token
from maestro.mesh.event import Event
from maestro.runtime import loops
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.chaos.redis_server import OwnRedis
from tests.integration.runtime_support import Runtime
from tests.stage import Stage

DAY_MS = 86_400_000
USD = BudgetVector({"usd": 1_000_000})
NOTHING = BudgetVector({})


class Kept(BaseModel):
    children: list[str] = []
    ended: list[JsonValue] = []


class Parent(Behaviour[Kept]):
    """Begets as many as its input says, waits for all of them, and ends with what they told."""

    async def start(self, tick: Tick[Kept]) -> Closing | None:
        for n in range(int(str(tick.about.input))):
            tick.state.children.append(tick.spawn(Child, goal=f"child {n}", budget=tick.budget.share(0.25), input=n))
        return Wait.children(*map(ContinuationId, tick.state.children))

    async def on_child(self, tick: Tick[Kept], child: Mail) -> Closing | None:
        tick.state.ended.append(child.body)
        return Finish(result=len(tick.state.ended)) if len(tick.state.ended) == len(tick.state.children) else None


class Child(Behaviour[NoState]):
    """Thinks once and ends; the one with number 0 fails."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("who am I?")
        if tick.about.input == 0:
            return None
        return Finish(result=tick.about.input)

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        return Finish(result=message.body)


class Listener(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        tick.subscribe("papers.*", relevance=0.35)
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[NoState], event: Event) -> Closing | None:
        return Finish(result=event.key)


BEHAVIOURS = (Counter, Parent, Child, Listener)


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    redis = OwnRedis()
    yield redis
    redis.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "AWAY_S", 0.02)


@pytest.fixture(params=["memory", "redis"])
async def stage(request: pytest.FixtureRequest, redis: OwnRedis) -> AsyncIterator[Stage]:
    """A store of two partitions on a virtual clock; audited after the test."""
    if request.param == "memory":
        backend = MemoryBackend(2, ManualClock())
    else:
        tenant = TenantId(new_token("tenant"))
        backend = await open_backend(redis.url, tenant, partitions=2, virtual=True)  # type: ignore[assignment]
    stage = Stage(backend, *BEHAVIOURS)
    yield stage
    await stage.audit()
    await backend.close()


@pytest.fixture
async def runtime(stage: Stage) -> AsyncIterator[Runtime]:
    async with Runtime(stage, *BEHAVIOURS) as runtime:
        yield runtime
