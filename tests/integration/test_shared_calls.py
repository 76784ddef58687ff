"""Two processes that make the same cacheable call at once: one execution, whoever waits is given its result."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from maestro.adapters.redis.backend import open_backend
from maestro.ids import Partition, TenantId
from maestro.tools.calls import CacheFigures
from tests.chaos.redis_server import OwnRedis

ROOT = Path(__file__).parents[2]
LIVE = "from tests.integration.tool_pair import main; main()"


@pytest.fixture
async def redis() -> AsyncIterator[OwnRedis]:
    redis = OwnRedis()
    yield redis
    redis.close()


async def lived(url: str, tenant: str, folder: Path) -> Any:
    """What one process told."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = (sys.executable, "-c", LIVE, url, tenant, str(folder))
    process = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    print(told.decode())
    assert process.returncode == 0
    return json.loads(told.splitlines()[-1])


async def counted(url: str, tenant: str) -> dict[str, int]:
    backend = await open_backend(url, TenantId(tenant))
    counts = await backend.records.counts(Partition(0))
    await backend.close()
    return {name: counts.get(f"tool_cache_{name}", 0) for name in ("misses", "hits", "shared")}


async def rate(url: str, tenant: str) -> float | None:
    """The hit rate as `maestro status` counts it, over all partitions."""
    backend = await open_backend(url, TenantId(tenant))
    counts: Counter[str] = Counter()
    for number in range(backend.partitions):
        counts.update(await backend.records.counts(Partition(number)))
    await backend.close()
    return CacheFigures.of(counts).rate


@pytest.mark.spec("04.9")
@pytest.mark.shows("5.7")
async def test_two_processes_make_the_same_call_at_once_and_it_is_carried_out_once(
    redis: OwnRedis, tmp_path: Path
) -> None:
    told = await asyncio.gather(*(lived(redis.url, "acme", tmp_path) for _ in range(2)))
    assert [each["result"] for each in told] == [7, 7]
    assert sorted(each["begun"] for each in told) == [0, 1], "one of them began no worker at all"
    assert (tmp_path / "carried out").read_text() == "a stone\n"
    counts = await counted(redis.url, "acme")
    assert counts["misses"] == 1
    assert counts["hits"] + counts["shared"] == 1
    assert await rate(redis.url, "acme") == 0.5


@pytest.mark.spec("04.9")
async def test_two_tenants_share_nothing(redis: OwnRedis, tmp_path: Path) -> None:
    told = await asyncio.gather(*(lived(redis.url, tenant, tmp_path) for tenant in ("acme", "globex")))
    assert [each["result"] for each in told] == [7, 7]
    assert (tmp_path / "carried out").read_text() == 2 * "a stone\n"
    for tenant in ("acme", "globex"):
        assert await counted(redis.url, tenant) == {"misses": 1, "hits": 0, "shared": 0}
        assert await rate(redis.url, tenant) == 0.0
