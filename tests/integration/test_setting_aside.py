"""Whoever cannot be given an actor of its own is set aside with the reason: on a store in memory, without a cluster."""

from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from actors.setting_aside import REST_S, TRIES, Aside
from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Control
from maestro.errors import ClusterError, Conflict
from maestro.ids import ContinuationId, HolderId
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import Stage


class Alone(Behaviour):  # type: ignore[type-arg]  # it keeps no state
    async def start(self, tick: Tick[Any]) -> Closing | None:
        return Finish()


class Times:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def stage() -> Stage:
    return Stage(MemoryBackend(clock=ManualClock()), Alone)


def refused() -> Exception:
    error: Exception = RayTaskError("start_child", "trace", ClusterError("not ready within 30000 ms"))
    return error


async def held(stage: Stage, cid: ContinuationId) -> Hold | None:
    return (await verbs.glance_of(stage.at, cid)).hold


async def waiting(stage: Stage) -> tuple[ContinuationId, str]:
    cid = await stage.start(Alone, pool="alone")
    return cid, "alone"


async def test_one_whose_actor_does_not_start_rests_between_its_tries_and_is_held_after_the_last(stage: Stage) -> None:
    now, (cid, pool) = Times(), await waiting(stage)
    aside = Aside(stage.at, HolderId("placer#1"), now)
    for _ in range(TRIES):
        assert await held(stage, cid) is None
        assert not aside.rests(pool)
        await aside.failed(pool, refused())
        now.now_s += REST_S / 2
        assert aside.rests(pool) or await held(stage, cid) is not None
        now.now_s += REST_S / 2
    assert await held(stage, cid) is Hold.UNSERVABLE
    assert "its own actor does not start: " in await stage.why(cid)
    assert "not ready within 30000 ms" in await stage.why(cid)
    await verbs.order(stage.at, cid, Control.THAW)
    assert not aside.rests(pool), "let go by a person, it is tried as if nothing had been"


async def test_one_that_cannot_even_be_described_is_held_at_once_and_another_is_not(stage: Stage) -> None:
    cid, pool = await waiting(stage)
    other = await stage.start(Alone, pool="another")
    aside = Aside(stage.at, HolderId("placer#1"))
    await aside.failed(pool, ValueError("id 'continuation/x/a b' is no id"))
    assert (await held(stage, cid), await held(stage, other)) == (Hold.UNSERVABLE, None)
    assert not aside.rests("another")


@pytest.mark.parametrize(
    "error",
    [RayTaskError("start_child", "trace", Conflict("it lives already")).as_instanceof_cause(), ActorDiedError()],
    ids=["it runs already", "the supervisor is away"],
)
async def test_what_is_no_fault_of_its_own_is_not_held_against_it(stage: Stage, error: Exception) -> None:
    cid, pool = await waiting(stage)
    aside = Aside(stage.at, HolderId("placer#1"))
    for _ in range(TRIES + 1):
        await aside.failed(pool, error)
    assert (await held(stage, cid), aside.rests(pool)) == (None, False)
