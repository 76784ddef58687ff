"""Stores full of sleepers, and modules of today's code that they are tried on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client

from maestro.adapters.redis.backend import open_backend
from maestro.ids import TenantId, new_token
from maestro.tick.behaviour import Behaviour
from maestro.tick.runner import run
from maestro.tick.store import Commit
from tests.chaos.redis_server import OwnRedis
from tests.integration.code_change_support import Scout1
from tests.stage import Stage

EACH = 500
"""Ticks on their way together while a store is filled."""


class Quiet1(Scout1):
    """A scout of version 1 that begets nobody: ten thousand of them would beget ten thousand."""

    name = "scout"

    async def start(self, tick: Any) -> None:
        tick.state.only = "a title"


Plant = Callable[[str, str], str]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """A module with that source, importable from here on; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def planted(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return planted


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    redis = OwnRedis()
    with client.Redis.from_url(redis.url) as store:
        store.config_set("appendfsync", "no")  # ten thousand are to sleep here; a power cut is shown elsewhere
    yield redis
    redis.close()


@pytest.fixture
async def stage(redis: OwnRedis) -> AsyncIterator[Stage]:
    emptied(redis)
    backend = await open_backend(redis.url, TenantId(new_token("tenant")), virtual=True)
    yield Stage(backend)
    await backend.close()


def emptied(redis: OwnRedis) -> None:
    with client.Redis.from_url(redis.url) as store:
        store.flushall()


async def fill(stage: Stage, behaviour: type[Behaviour[Any]], count: int) -> None:
    """So many more sleep, each after its first tick."""
    stage.around = stage.surroundings(behaviour)
    for begun in range(0, count, EACH):
        some = range(min(EACH, count - begun))
        await asyncio.gather(*(stage.start(behaviour) for _ in some))
        adopted = [each for each in await asyncio.gather(*(stage.adopt() for _ in some)) if each is not None]
        outcomes = [await run(each, stage.around) for each in adopted]
        assert len(outcomes) == len(some)
        commits = [outcome for outcome in outcomes if isinstance(outcome, Commit)]
        await asyncio.gather(*(stage.backend.store.commit(commit) for commit in commits))


def dump(url: str) -> dict[bytes, Any]:
    """Every key of the server, byte for byte, with what is left of its life."""
    with client.Redis.from_url(url) as store:
        keys = sorted(store.scan_iter(count=5_000))
        asked = store.pipeline(transaction=False)
        for key in keys:
            asked.dump(key).pttl(key)
        replies = asked.execute()
    return dict(zip(keys, zip(replies[::2], replies[1::2], strict=True), strict=True))
