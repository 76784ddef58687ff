"""The warehouse under kill -9: its keeper is a process that dies in the midst of each of its writes in turn.

Whatever half a file it leaves, each movement of money is in the files once, and they say what the ledgers say.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.adapters.duckdb.reader import Answer, asked
from maestro.adapters.duckdb.stock import WRITING, ParquetStock
from maestro.adapters.redis.backend import open_backend
from maestro.ids import Partition, TenantId
from maestro.runtime.warehousing import fresh
from tests.chaos.arena import own_redis
from tests.chaos.patrons import Reader
from tests.chaos.redis_server import OwnRedis
from tests.chaos.storekeeper import MOMENTS, Moment, Storekeeper, keep
from tests.stage import CHARGE_USD_MICROS, PLENTY, Stage

ROOTS = 12
SPENT = "select continuation, sum(usd_micros)::bigint from fact_spent group by 1 having sum(usd_micros) > 0"
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.chaos.storekeeper", "duckdb"])


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    yield from own_redis()


@pytest.fixture
async def stage(redis: OwnRedis, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    tenant = TenantId("kept-" + request.node.name.partition("[")[2].strip("]").replace(" ", "-"))
    backend = await open_backend(redis.url, tenant, virtual=True)
    yield Stage(backend, Reader)
    await backend.close()


@pytest.mark.spec("05.10")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_keeper_killed_in_the_midst_of_any_write_keeps_each_movement_once(
    stage: Stage, redis: OwnRedis, tmp_path: Path, moment: Moment
) -> None:
    for _ in range(ROOTS):
        await stage.start(Reader, budget=PLENTY)
        await stage.settle()
    for write in (1, 2, 3, 4, 5, 0):
        killed = await life(Storekeeper(redis.url, stage.backend.tenant, tmp_path, write, moment))
        assert killed == (write > 0)
        await balanced(stage, tmp_path)
    assert halves(tmp_path) == [], "half a file is cleared away by whoever comes next"
    ((rows, different),) = asked(tmp_path, [], "select count(*), count(distinct (id, entry)) from movement").rows
    assert rows == different, "each once in the files themselves"
    assert spent_in(asked(tmp_path, [], SPENT)) == dict.fromkeys(await stage.all(), CHARGE_USD_MICROS), (
        "all of it is kept"
    )
    assert await fresh(stage.backend, {Partition(0): ParquetStock(tmp_path).reached(Partition(0))}) == []


def spent_in(answer: Answer) -> dict[Any, Any]:
    """The micro-dollars of each continuation."""
    return {row[0]: row[1] for row in answer.rows}


def halves(folder: Path) -> list[Path]:
    """What was written and not finished."""
    return list(folder.glob(f"{WRITING}*"))


async def life(keeper: Storekeeper) -> bool:
    """Whether a keeper was killed."""
    process: Any = _FORK.Process(target=keep, args=(keeper,))
    process.start()
    try:
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode in (0, -9)
        return bool(process.exitcode)
    finally:
        if process.is_alive():
            process.kill()
            process.join(10)


async def balanced(stage: Stage, folder: Path) -> None:
    """What is kept, with what the feed tells beyond it, is what the ledgers say."""
    stock = {Partition(0): ParquetStock(folder).reached(Partition(0))}
    told = spent_in(asked(folder, await fresh(stage.backend, stock), SPENT))
    ledgers = {cid: (await stage.ledger(cid)).account("usd").spent for cid in await stage.all()}
    assert told == ledgers
