"""Weeks asleep, on memory and on a real Redis: nothing of a sleeper is there but bytes, and it wakes as what it was."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.redis.backend import open_backend
from maestro.behaviours.counter import Counter
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.finding import Finding
from maestro.continuation.mail import Mail
from maestro.ids import TenantId, new_token
from maestro.mesh.event import Event
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.chaos.redis_server import OwnRedis
from tests.integration.runtime_support import Runtime
from tests.stage import Stage

DAY_MS = 86_400_000


class Scout(Behaviour[NoState]):
    """Sleeps until a paper comes; thinks of it, sends two children, sleeps on."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        tick.subscribe("arxiv.cs.*")
        return Sleep.until_woken("a paper")

    async def on_event(self, tick: Tick[NoState], event: Event) -> Closing | None:
        await tick.think("does it bear on the goal?")
        for part in ("method", "evidence"):
            tick.spawn(Counter, goal=f"read the {part} of {event.key}", budget=tick.budget.share(0.1))
        return Sleep.until_woken("a paper")


class Seen(BaseModel):
    titles: list[str] = []


class Historian(Behaviour[Seen]):
    """Publishes a finding at once; asked later, says what its field holds."""

    async def start(self, tick: Tick[Seen]) -> Closing | None:
        tick.publish(Finding(title="Sleepers cost bytes", body="Measured: no process, no poll."))
        return Sleep.until_woken("somebody who asks")

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        tick.state.titles = [weighed.entry.title for weighed in await tick.field()]
        return Sleep.until_woken("somebody who asks")


BEHAVIOURS = (Scout, Historian, Counter)


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    redis = OwnRedis()
    yield redis
    redis.close()


@pytest.fixture(params=["memory", "redis"])
async def runtime(request: pytest.FixtureRequest, redis: OwnRedis) -> AsyncIterator[Runtime]:
    if request.param == "memory":
        backend = MemoryBackend(1, ManualClock())
    else:
        backend = await open_backend(redis.url, TenantId(new_token("tenant")), partitions=1, virtual=True)  # type: ignore[assignment]
    stage = Stage(backend, *BEHAVIOURS)
    async with Runtime(stage, *BEHAVIOURS) as runtime:
        yield runtime
    await stage.audit()
    await backend.close()


async def residents(stage: Stage) -> list[str]:
    """Those in whose hands somebody is."""
    holders = [(await stage.view(cid)).glance.holder for cid in await stage.all()]
    return [holder for holder in holders if holder]


@pytest.mark.spec("01.1")
async def test_after_three_weeks_one_paper_is_one_wake_and_two_children_and_it_sleeps_again(runtime: Runtime) -> None:
    stage = runtime.stage
    scout = await stage.start(Scout, goal="sleeping actors")
    await runtime.until_quiet()
    await stage.advance(21 * DAY_MS)
    await runtime.until_quiet()
    before = (await stage.view(scout)).glance.rev
    assert await residents(stage) == []

    assert await stage.publish("arxiv.cs.AI", "2407.00001", {"title": "Actors that sleep"}) == 1
    await stage.publish("arxiv.math.CO", "2407.00002", {"title": "No paper of its kind"})
    await runtime.until_quiet()

    view = await stage.view(scout)
    assert (view.glance.rev, len(view.checkpoint.children), stage.model.asked) == (before + 1, 2, 1)
    assert await residents(stage) == []
    assert await stage.why(scout) == "a paper; subscribed to arxiv.cs.*"
    assert len(await stage.all()) == 3


@pytest.mark.spec("01.20")
async def test_asked_after_two_weeks_it_has_its_old_findings(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Historian, goal="what sleepers cost")
    await runtime.until_quiet()
    await stage.advance(14 * DAY_MS)
    await runtime.until_quiet()

    await verbs.send(stage.at, cid, "what do you know?")
    await runtime.until_state(cid, titles=["Sleepers cost bytes"])

    kept = await stage.backend.records.findings(cid)
    assert len(kept) == 1
    assert b"Sleepers cost bytes" in kept[0]
