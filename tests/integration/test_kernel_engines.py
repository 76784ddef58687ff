"""What opens an engine of the context kernel, and what refuses to: without Serve, in this process."""

import asyncio
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest

from maestro.continuation.goal import GoalFrame
from maestro.errors import InvalidInput, RankerFailed
from maestro.field.kernel import KernelAsk, KernelOptions
from maestro.field.local import LocalRanker
from maestro.field.ranker import Rankable, Ranker
from maestro.settings import Settings
from serve_apps.context_kernel import ContextKernel, build, check_weights, open_engine
from tests.contract.ranking import ASIDE, GOAL, OFF, ON

ASK = KernelAsk.of(GOAL, [ON, OFF, ASIDE, ON])


def weights(folder: Path) -> str:
    (folder / "model-1.safetensors").write_bytes(b"some ")
    (folder / "model-2.safetensors").write_bytes(b"weights")
    return hashlib.sha256(b"some weights").hexdigest()


def test_weights_are_known_by_what_sha256sum_says_of_them(tmp_path: Path) -> None:
    check_weights(tmp_path, weights(tmp_path))
    with pytest.raises(InvalidInput) as caught:
        check_weights(tmp_path, "0" * 64)
    assert caught.value.field == "revision"
    assert weights(tmp_path) in caught.value.message


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_weights(tmp_path, "0" * 64)
    assert caught.value.field == "model"


@pytest.mark.parametrize(("engine", "install"), [("vllm", "maestro-continuations[gpu]"), ("torch", "torch")])
def test_an_engine_that_is_not_installed_says_what_to_install(engine: str, install: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(engine) is not None:
        pytest.skip(f"{engine} is here")
    options = KernelOptions.read({"engine": engine, "model": tmp_path, "revision": weights(tmp_path)})
    with pytest.raises(InvalidInput) as caught:
        open_engine(options)
    assert caught.value.field == "engine"
    assert install in str(caught.value.hint)


def test_the_application_has_the_deployment_that_its_options_name_and_refuses_others() -> None:
    assert build({})._bound_deployment.name == KernelOptions().deployment
    with pytest.raises(InvalidInput) as caught:
        build({"engine": "local", "replicas": "2"})
    assert caught.value.field == "replicas"


def test_serve_is_told_between_which_numbers_of_replicas_it_may_go_and_to_start_one_before_the_others_are_full() -> (
    None
):
    made = build({"min_replicas": "2", "max_replicas": "5", "max_ongoing_requests": "10"})._bound_deployment
    scaled = made._deployment_config.autoscaling_config
    assert scaled is not None
    assert (scaled.min_replicas, scaled.max_replicas, scaled.target_ongoing_requests) == (2, 5, 7.0)
    assert (made.max_ongoing_requests, made.max_queued_requests) == (10, KernelOptions().max_queued_requests)


@pytest.mark.parametrize("batch", [1, 3, 64])
async def test_batches_change_no_score(batch: int) -> None:
    kernel = ContextKernel(KernelOptions(batch=batch).model_dump_json())
    scores = await kernel.score(ASK.model_dump_json())
    assert list(scores.values()) == await LocalRanker().score(GOAL, [ON, OFF, ASIDE, ON])


class Odd:
    """An engine that never answers, or answers with what it was given."""

    def __init__(self, answer: list[float] | None) -> None:
        self.answer = answer

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        if self.answer is None:
            await asyncio.Event().wait()
        return self.answer or []


def kernel_of(engine: Ranker) -> ContextKernel:
    kernel = ContextKernel(KernelOptions(time_limit_ms=20).model_dump_json())
    kernel._engine = engine
    return kernel


@pytest.mark.parametrize("answer", [None, [0.5], [0.5, 0.5, 0.5, float("nan")]], ids=["silent", "short", "nan"])
async def test_a_request_ends_in_time_and_with_good_scores_or_as_a_failure(answer: list[float] | None) -> None:
    with pytest.raises(RankerFailed):
        await kernel_of(Odd(answer)).score(ASK.model_dump_json())


async def test_a_kernel_is_well_while_its_engine_ranks() -> None:
    await kernel_of(LocalRanker()).check_health()
    with pytest.raises(RankerFailed):
        await kernel_of(Odd([2.0])).check_health()


@pytest.mark.parametrize("engine", ["torch", "vllm"])
def test_libraries_that_serve_weights_are_told_to_leave_the_network_alone(engine: str, tmp_path: Path) -> None:
    made = build({"engine": engine, "model": tmp_path, "revision": "0" * 64})._bound_deployment
    environment = (made.ray_actor_options or {})["runtime_env"]["env_vars"]
    assert (environment["HF_HUB_OFFLINE"], environment["VLLM_NO_USAGE_STATS"]) == ("1", "1")


@pytest.mark.parametrize(("deadline_ms", "limit_ms"), [(300, 5_000), (20_000, 20_000)])
def test_a_kernel_does_not_refuse_whoever_still_waits(deadline_ms: int, limit_ms: int, tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, kernel="serve", kernel_deadline_ms=deadline_ms)
    assert settings.kernel_options.time_limit_ms == limit_ms
