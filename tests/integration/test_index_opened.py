"""The index of an installation: opened by its settings, kept in its home, its old vectors serve until it has new."""

from pathlib import Path

import pytest
from pydantic import JsonValue, ValidationError

from maestro import bootstrap
from maestro.adapters.faiss.opening import index_folder
from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.errors import InvalidInput
from maestro.field.local import LocalRanker
from maestro.ids import Partition
from maestro.mesh.event import new_event
from maestro.runtime.backend import Backend
from maestro.runtime.gathering import Gatherer
from maestro.runtime.publisher import MeshPublisher
from maestro.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, index="local")


@pytest.fixture
async def backend() -> Backend:
    made = MemoryBackend(clock=ManualClock())
    for number in range(100):
        payload: JsonValue = {"title": f"Volcanic tremor, report {number}"}
        event = new_event("news.today", "feed.item", "source.test", str(number), payload, await made.clock.now_ms())
        await MeshPublisher(made.router, made.partitions).publish(event)
    return made


async def opened(settings: Settings, backend: Backend) -> Gatherer:
    gatherer = await bootstrap.open_gatherer(settings, backend, LocalRanker())
    assert gatherer is not None
    return gatherer


async def found(gatherer: Gatherer) -> list[str]:
    return [near.place.position for near in (await gatherer.index.near("Volcanic tremor, report 7", 5)).nearest]


async def test_what_was_kept_is_served_at_once_and_the_log_is_read_on_from_there(
    settings: Settings, backend: Backend
) -> None:
    first = await opened(settings, backend)
    await first.step()
    await first.index.save()
    again = await opened(settings, backend)
    assert (len(again.index), await found(again)) == (100, await found(first))
    await again.step()
    assert again.indexed == 0
    assert sorted(file.suffix for file in index_folder(settings).iterdir()) == [".faiss", ".json"]


async def test_with_other_dimensions_the_old_vectors_serve_until_the_new_ones_are_there(
    settings: Settings, backend: Backend
) -> None:
    first = await opened(settings, backend)
    await first.step()
    await first.index.save()
    again = await opened(settings.having(index_dims=96), backend)
    assert again.index.header.dims == 384
    await again.step()
    assert await found(again) == await found(first)
    assert again.swapping is not None
    await again.swapping
    assert (await found(again))[0] == (await found(first))[0]
    await again.step()
    assert again.index.header.version == 2


async def test_an_index_of_a_model_that_is_gone_begins_anew_from_the_log(settings: Settings, backend: Backend) -> None:
    first = await opened(settings, backend)
    await first.step()
    await first.index.save()
    (told,) = index_folder(settings).glob("index.json")
    told.write_text(told.read_text().replace(first.index.header.model, "torch-gone-0123456789ab"))
    await backend.steering.advance(1)
    again = await opened(settings, backend)
    assert len(again.index) == 0
    await again.step()
    assert (len(again.index), again.index.newest > first.index.newest) == (100, True)


async def test_where_it_is_off_nobody_looks_and_no_field_waits(settings: Settings, backend: Backend) -> None:
    await (await opened(settings, backend)).step()
    off = settings.having(index="off")
    assert await bootstrap.open_gatherer(off, backend, LocalRanker()) is None
    assert await backend.gatherings.asked(Partition(0)) == []


@pytest.mark.parametrize("wrong", [{"index": "torch"}, {"index": "local", "index_model": "/models"}, {"index_dims": 1}])
def test_a_wrong_setting_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises((InvalidInput, ValidationError)) as caught:
        Settings.load(home=tmp_path, **wrong)
    assert "index" in str(caught.value)
