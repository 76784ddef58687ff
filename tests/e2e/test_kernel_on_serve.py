"""The context kernel on Serve: deployed by its keeper, asked by a projector, killed, back by itself.

One real Ray and Serve; the store is in memory, because the point is who ranks.
"""

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
from pydantic import JsonValue
from ray import serve
from ray.serve.context import _get_global_client

from actors.blueprint import KERNEL_APP, KERNEL_KEEPER_ACTOR, tree
from actors.kernel import ServeRanker
from actors.kernel_keeper import KernelKeeperActor
from actors.names import KERNEL_KEEPER
from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.behaviours.counter import Counter
from maestro.clock import ManualClock
from maestro.field.kernel import APP
from maestro.field.local import relevance
from maestro.field.ranker import Ranker
from maestro.runtime.fieldview import field_rows
from maestro.settings import Settings
from tests.contract.ranking import GOAL, OFF, ON, RankerContract
from tests.e2e.own_ray import own_ray
from tests.e2e.support import eventually
from tests.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(500)]

WITHIN_S = 200.0
LOOK_S = 0.5
STATIONS = itertools.count(1)


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="msk", dir="/tmp"))
    yield Settings.load(home=folder / "home", kernel="serve", kernel_deadline_ms=500)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def keeper(settings: Settings) -> Iterator[Any]:
    """A keeper in a cluster of its own, and the kernel that it had deployed."""
    with own_ray(settings.home.parent):
        made = new_keeper(settings, "1")
        becomes(made, "RUNNING")
        yield made
        serve.shutdown()


def new_keeper(settings: Settings, number: str) -> Any:
    actor: Any = ray.remote(KernelKeeperActor)
    given = {"incarnation": f"{KERNEL_KEEPER}#{number}", "settings": settings.to_json(), "app": KERNEL_APP}
    return actor.options(num_cpus=0, max_concurrency=16).remote(**given)


def becomes(keeper: Any, state: str) -> Mapping[str, JsonValue]:
    """What the keeper tells as soon as that state is reached."""
    return eventually(lambda: ray.get(keeper.told.remote()), lambda told: told["state"] == state, WITHIN_S, 0.2)


def replica_pids() -> list[int]:
    """Of the replicas that Serve counts on."""
    client: Any = _get_global_client()
    deployments = client.get_serve_details()["applications"][APP]["deployments"]
    return [replica["pid"] for told in deployments.values() for replica in told["replicas"]]


@pytest.fixture
def engine(keeper: Any) -> Ranker:
    return ServeRanker()


class TestEngineOnServe(RankerContract):
    """What each engine promises in its own process, across Serve."""


async def test_what_it_says_is_what_the_engine_says(engine: Ranker) -> None:
    assert await engine.score(GOAL, [ON, OFF]) == [relevance(GOAL, ON), relevance(GOAL, OFF)]


def test_another_keeper_leaves_the_kernel_that_runs_alone(keeper: Any, settings: Settings) -> None:
    before = replica_pids()
    told = becomes(new_keeper(settings, "2"), "RUNNING")
    assert told == {"app": APP, "engine": "local", "state": "RUNNING", "message": "", "replicas": {"RUNNING": 1}}
    assert replica_pids() == before
    assert list(serve.status().applications[APP].deployments) == [settings.kernel_options.deployment]


@pytest.mark.spec("02.5")
async def test_while_its_replica_is_dead_fields_are_marked_degraded_and_afterwards_they_are_not(keeper: Any) -> None:
    assert APP in serve.status().applications
    stage = Stage(backend_over(empty_memory(clock=ManualClock())), Counter)
    stage.projector.ranker, stage.projector.deadline_ms = ServeRanker(), 500
    cid = await stage.start(Counter, goal=GOAL.goal, input={"subscribe": "demo.news", "relevance": 0.9})
    await stage.settle()

    async def is_marked() -> bool:
        """Whether the entry of news that is published now is."""
        title = f"Volcanic eruption warned of by station {next(STATIONS)}"
        await stage.publish("demo.news", title, {"title": title})
        await stage.settle()
        rows = await field_rows(stage.backend.shelf, cid, {}, 1_000, await stage.backend.clock.now_ms())
        return next(bool(row["degraded"]) for row in rows if row["title"] == title)

    async def comes_back() -> None:
        for _ in range(int(WITHIN_S / LOOK_S)):
            if not await is_marked():
                return
            await asyncio.sleep(LOOK_S)
        raise AssertionError("fields stay marked")

    await comes_back()  # the first handle takes longer than a ranking may
    (pid,) = replica_pids()
    os.kill(pid, signal.SIGKILL)
    assert await is_marked()
    assert stage.projector.degraded >= 1

    await comes_back()
    becomes(keeper, "RUNNING")
    assert pid not in replica_pids()


def test_the_tree_has_a_keeper_where_the_kernel_is_on_and_nowhere_else(settings: Settings) -> None:
    keepers = {spec.id: spec.start for spec in tree(settings).walk() if spec.id == KERNEL_KEEPER}
    assert keepers == {KERNEL_KEEPER: KERNEL_KEEPER_ACTOR}
    assert KERNEL_KEEPER not in [spec.id for spec in tree(settings.having(kernel="off")).walk()]
