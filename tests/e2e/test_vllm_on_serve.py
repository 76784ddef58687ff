"""The engine `vllm` behind Serve: its scores are those of plain transformers, and fields outlive its replica.

`make vllm` runs it, and prints how long batches take. Skipped where vLLM is not, as
tests/integration/test_vllm_engine.py says.
"""

import asyncio
import importlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.behaviours.counter import Counter
from maestro.clock import ManualClock
from maestro.continuation.goal import GoalFrame
from maestro.field.ranker import Ranker
from maestro.field.steady import Ranking, rank
from maestro.runtime.fieldview import field_rows
from maestro.settings import Settings
from tests.contract.ranking import ASIDE, GOAL, OFF, ON, RankerContract
from tests.e2e.support import eventually
from tests.models import needed, planted
from tests.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]

DECIMALS = 4
DEADLINE_MS = 60_000  # of a machine without a GPU
BATCHES = (1, 32, 256)
STARTS_WITHIN_S = 600.0  # half a minute on a machine of its own
LOOKS = 400
LOOK_S = 0.5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with code beside its weights, and what there is once that was run."""
    return planted(needed("vllm"), tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def model(place: tuple[Path, Path]) -> Path:
    return place[0]


@pytest.fixture(scope="module")
def replicas(model: Path) -> Iterator[Any]:
    """The pids of the replicas of a kernel that runs vLLM, in a cluster of its own."""
    digest_of = importlib.import_module("maestro.adapters.torch.encoder").digest_of
    on_serve, ray = (importlib.import_module(name) for name in ("tests.e2e.test_kernel_on_serve", "ray"))
    folder = Path(tempfile.mkdtemp(prefix="msv", dir="/tmp"))
    settings = Settings.load(
        home=folder / "home",
        kernel="serve",
        kernel_engine="vllm",
        kernel_model=model,
        kernel_revision=digest_of(model),
        kernel_deadline_ms=DEADLINE_MS,
    )
    with on_serve.own_ray(folder):
        keeper = on_serve.new_keeper(settings, "1")
        eventually(
            lambda: ray.get(keeper.told.remote()), lambda told: told["state"] == "RUNNING", STARTS_WITHIN_S, LOOK_S
        )
        yield on_serve.replica_pids
        on_serve.serve.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kernel() -> Ranker:
    made: Ranker = importlib.import_module("actors.kernel").ServeRanker()
    return made


async def ranked(kernel: Ranker) -> Ranking:
    """What the kernel says as soon as it says something."""
    said = ""
    for _ in range(LOOKS):
        ranking = await rank(kernel, GOAL, [ON, ASIDE, OFF], deadline_ms=DEADLINE_MS)
        if ranking.degraded is None:
            return ranking
        said = ranking.degraded
        await asyncio.sleep(LOOK_S)
    raise AssertionError(said)


class TestVllmOnServe(RankerContract):
    """What each engine promises in its own process."""

    @pytest.fixture
    async def engine(self, replicas: Any, kernel: Ranker) -> Ranker:
        await ranked(kernel)
        return kernel


@pytest.mark.shows("7.5")
async def test_through_serve_its_scores_are_those_of_plain_transformers(
    replicas: Any, kernel: Ranker, model: Path
) -> None:
    plain: Ranker = importlib.import_module("maestro.adapters.torch.ranker").TorchRanker(model)
    scores = (await ranked(kernel)).scores
    assert list(scores) == pytest.approx(await plain.score(GOAL, [ON, ASIDE, OFF]), abs=10**-DECIMALS)
    assert scores[0] == max(scores)


async def test_it_runs_no_code_that_lies_beside_its_weights_and_listens_to_its_own_machine_only(
    replicas: Any, kernel: Ranker, place: tuple[Path, Path]
) -> None:
    await ranked(kernel)
    (pid,) = replicas()
    engine = psutil.Process(pid).children(recursive=True)
    doors = [at for process in engine for at in process.net_connections("inet") if at.status == psutil.CONN_LISTEN]
    assert "VLLM::EngineCore" in [process.name() for process in engine]
    assert {at.laddr.ip for at in doors} <= {"127.0.0.1", "::1"}
    assert "auto_map" in (place[0] / "config.json").read_text()
    assert not place[1].exists()


@pytest.mark.shows("7.5")
@pytest.mark.parametrize("size", BATCHES)
async def test_it_ranks_batches_of_any_size(replicas: Any, kernel: Ranker, size: int) -> None:
    await ranked(kernel)
    began = time.perf_counter()
    ranking = await rank(kernel, GOAL, [ON, ASIDE, OFF, *[ON] * size][:size], deadline_ms=DEADLINE_MS)
    print(f"vllm through Serve, {size} short entries: {(time.perf_counter() - began) * 1e3:.0f} ms")
    assert (ranking.degraded, len(ranking.scores)) == (None, size)


@pytest.mark.shows("7.5")
async def test_what_comes_while_its_replica_is_dead_is_marked_and_ranked_by_the_next(
    replicas: Any, kernel: Ranker
) -> None:
    await ranked(kernel)
    stage = Stage(backend_over(empty_memory(clock=ManualClock())), Counter)
    stage.projector.ranker, stage.projector.deadline_ms = kernel, 500
    cid = await stage.start(Counter, goal=GOAL.goal, input={"subscribe": "demo.news", "relevance": 0.99})
    await stage.settle()
    (pid,) = replicas()
    engine = psutil.Process(pid).children(recursive=True)
    assert engine
    os.kill(pid, signal.SIGKILL)
    await stage.publish("demo.news", "1", {"title": ON.title, "abstract": ON.body})
    await stage.settle()

    async def row() -> dict[str, Any]:
        (found,) = await field_rows(stage.backend.shelf, cid, {}, 10, await stage.backend.clock.now_ms())
        return dict(found)

    assert (await row())["degraded"] is True
    stage.projector.deadline_ms = DEADLINE_MS
    for _ in range(LOOKS):
        await stage.projector.step()
        if stage.projector.mended:
            break
        await asyncio.sleep(LOOK_S)
    mended, right = await row(), await kernel.score(GoalFrame(goal=GOAL.goal), [ON])
    assert mended["degraded"] is False
    assert mended["score"] == pytest.approx(right[0], abs=10**-DECIMALS)
    assert pid not in replicas()
    eventually(lambda: [process for process in engine if lives(process)], lambda left: not left)


def lives(process: psutil.Process) -> bool:
    """A zombie does not: where nobody collects it, it is left in the table and nowhere else."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
