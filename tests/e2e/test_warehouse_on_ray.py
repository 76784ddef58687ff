"""The warehouse as a supervised actor on one real Ray: filled by one process, and whole after each of its deaths."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from operator import ne
from pathlib import Path
from typing import Any, TypeVar

import pytest
import ray
from ray.exceptions import RayError

from actors import children
from actors.loops import LOOP_ACTOR
from actors.names import NAMESPACE, WAREHOUSE
from actors.supervisor import SUPERVISOR
from maestro.adapters.duckdb.reader import asked
from maestro.adapters.duckdb.stock import path_of, reached_in, stretches
from maestro.adapters.redis import server
from maestro.bootstrap import open_store, warehouse_folder
from maestro.runtime.warehousing import fresh
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec
from maestro.warehouse.stock import BEGINNING
from tests.chaos.patrons import Reader
from tests.e2e.own_ray import own_ray
from tests.e2e.support import THE_PARTITION
from tests.stage import CHARGE_USD_MICROS, PLENTY, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROUNDS, CROWD = 3, 12
WITHIN_S = 150.0  # a process of Ray starts slowly on a machine that is busy
EVERYTHING = "select * exclude (time) from fact_spent order by call_id, entry"
TWICE = "select id, entry from movement group by 1, 2 having count(*) > 1"
SPENT = "select sum(usd_micros)::bigint from fact_spent"
T = TypeVar("T")


@pytest.fixture
def settings() -> Iterator[Settings]:
    """A home with a store, and a Ray beside it; neither outlives the test."""
    home = Path(tempfile.mkdtemp(prefix="mwh", dir="/tmp"))
    settings = Settings.load(home=home / "h", clock="virtual")
    server.ensure(settings.home)
    try:
        with own_ray(home):
            yield settings
    finally:
        server.purge(settings.home)
        shutil.rmtree(home, ignore_errors=True)


async def until(look: Callable[[], Awaitable[T]], enough: Callable[[T], object], every_s: float = 0.005) -> T:
    """What `look` saw as soon as it was enough."""
    async with asyncio.timeout(WITHIN_S):
        while not enough(seen := await look()):  # noqa: ASYNC110 - another process writes, and rings no bell
            await asyncio.sleep(every_s)
        return seen


async def keeper() -> int | None:
    """The process of the actor that is the warehouse; None between two."""
    try:
        identity: Any = await ray.get_actor(WAREHOUSE, NAMESPACE).ready.remote()
    except (ValueError, RayError):
        return None
    return int(identity["pid"])


async def test_killed_while_it_writes_and_cleared_away_under_its_hands_it_has_each_movement_once(
    settings: Settings,
) -> None:
    args = {"settings": settings.to_json(), "role": WAREHOUSE}
    loop = ChildSpec(id=WAREHOUSE, start=LOOP_ACTOR, args=args, start_ms=150_000)
    tree = ChildSpec(id="system", start=SUPERVISOR, type="supervisor", children=(loop,), start_ms=200_000)
    system = await children.start(tree)
    folder, backend = warehouse_folder(settings), await open_store(settings)
    stage = Stage(backend, Reader)

    async def kept() -> int:
        return len(stretches(folder))

    async def beyond() -> list[Any]:
        """What the feed tells, and is not kept yet."""
        return await fresh(backend, {THE_PARTITION: reached_in(folder, THE_PARTITION)})

    pids: list[int | None] = [await until(keeper, bool)]
    for _ in range(ROUNDS):
        before = await kept()
        for _ in range(CROWD):
            await stage.start(Reader, budget=PLENTY)
            await stage.settle()
        await until(kept, partial(ne, before))
        os.kill(pids[-1] or 0, signal.SIGKILL)
        pids.append(await until(keeper, lambda pid: pid not in (None, *pids)))
    await until(beyond, lambda rows: not rows)
    assert len(set(pids)) == ROUNDS + 1, "its supervisor has started each after the one before had died"
    assert asked(folder, [], TWICE).rows == ()
    assert asked(folder, [], SPENT).rows == ((ROUNDS * CROWD * CHARGE_USD_MICROS,),)

    whole = asked(folder, [], EVERYTHING)
    anew = await fresh(backend, {THE_PARTITION: BEGINNING})
    assert whole == asked(folder / "nothing here", anew, EVERYTHING), "it is what the feed tells, and nothing else"
    for stretch in stretches(folder):
        path_of(folder, stretch).unlink()
    await stage.start(Reader, budget=PLENTY)
    await until(beyond, lambda rows: not rows)
    assert asked(folder, [], EVERYTHING) == whole, "it is made anew by the process that had kept it"
    await children.stop(system, 60_000)
    await backend.close()
