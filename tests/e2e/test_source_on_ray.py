"""A source as a supervised actor: one real Ray, one feed over HTTP."""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from actors import children
from actors.exits import StartFailed
from actors.names import source_actor
from actors.sources import FEED_SOURCE
from maestro.cli.demo.feed import DemoFeed
from maestro.supervision.spec import ChildSpec
from tests.e2e.own_ray import own_ray

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

WITHIN_S = 30.0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="msf", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[None]:
    with own_ray(folder):
        yield


def spec(**settings: str) -> ChildSpec:
    args: dict[str, Any] = {
        "source": "demo",
        "settings": json.dumps(settings),
        "opener": "tests.e2e.feed_ports:open_ports",
    }
    return ChildSpec(id=source_actor("demo"), start=FEED_SOURCE, args=args)


async def test_a_source_polls_when_it_starts_and_when_asked_and_stops_in_order(cluster: None, folder: Path) -> None:
    diary = folder / "diary"
    with DemoFeed() as feed:
        living = await children.start(spec(url=feed.url, diary=str(diary)))
        watched: Any = living.handle.watch.remote()
        first, second = (sorted(f"demo.papers {paper.link}" for paper in day.items) for day in feed.days[:2])
        assert await lines(diary, 8) == first

        feed.advance()
        record = await living.handle.poll_now.remote()
        assert (record["state"], record["items_published"]) == ("ok", 16)
        assert await lines(diary, 16) == sorted(first + second)

        await children.stop(living, 10_000)
        with contextlib.suppress(ActorDiedError):  # the kill after an orderly stop may overtake the last word
            assert await watched is None


async def test_a_source_whose_store_does_not_open_never_becomes_ready_and_says_why(cluster: None) -> None:
    with pytest.raises(StartFailed, match="the store does not answer"):
        await children.start(spec())


async def lines(path: Path, count: int) -> list[str]:
    """The lines of `path`, sorted, as soon as there are so many."""
    async with asyncio.timeout(WITHIN_S):
        while len(found := path.read_text().splitlines() if path.exists() else []) < count:  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)
    return sorted(found)
