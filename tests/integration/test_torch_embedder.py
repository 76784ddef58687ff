"""An index whose vectors a model makes: MiniLM beside the hashed n-grams, and one in place of the other.

Skipped where torch or the weights are not (`tests.models`); `make vllm` runs it, in an environment of its own.
"""

import importlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from maestro import bootstrap
from maestro.adapters.faiss.opening import open_embedder
from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.errors import InvalidInput
from maestro.field.embedding import DIMS, Embedder, HashedEmbedder
from maestro.field.local import LocalRanker
from maestro.mesh.event import new_event
from maestro.runtime.backend import Backend
from maestro.runtime.gathering import Gatherer
from maestro.runtime.publisher import MeshPublisher
from maestro.settings import Settings
from tests.contract.ranking import ASIDE, ODD, OFF, ON
from tests.models import needed, planted

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(300)]

NEWS = {
    "heart": "Physicians treat heart attacks within the first hour",
    "bread": "Bakers attack the hour before dawn with sourdough",
    "ships": "Within an hour the harbour fills with ships",
}
WANTED = "cardiac infarction, its therapy by doctors"
"""Of what NEWS says of the heart it has no word."""


@pytest.fixture(scope="module")
def model() -> Path:
    return needed("torch", "transformers")


@pytest.fixture(scope="module")
def embedder(model: Path) -> Embedder:
    made: Embedder = importlib.import_module("maestro.adapters.torch.embedder").TorchEmbedder(model)
    return made


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_its_vectors_are_of_length_1_and_depend_on_neither_company_nor_the_time_of_asking(
    embedder: Embedder,
) -> None:
    texts = [f"{it.title}. {it.body}" for it in (ON, ASIDE, OFF, *ODD)]
    rows = await embedder.embed(texts)
    assert [len(row) for row in rows] == [embedder.dims] * len(texts)
    assert [math.hypot(*row) for row in rows] == pytest.approx([1.0] * len(texts), abs=1e-5)
    assert [(await embedder.embed([text]))[0] for text in texts] == list(rows)
    assert await embedder.embed(texts[::-1]) == list(rows)[::-1]


async def test_it_knows_that_two_texts_are_about_the_same_though_they_share_no_word(embedder: Embedder) -> None:
    hashed = HashedEmbedder()
    for each, knows in ((embedder, True), (hashed, False)):
        wanted, *rows = await each.embed([WANTED, *NEWS.values()])
        likeness = dict(zip(NEWS, (cosine(wanted, row) for row in rows), strict=True))
        assert (likeness["heart"] > 0.3 > max(likeness["bread"], likeness["ships"])) is knows


def test_it_is_named_by_its_weights(embedder: Embedder, model: Path, tmp_path: Path) -> None:
    digest = importlib.import_module("maestro.adapters.torch.encoder").digest_of(model)
    assert embedder.name == f"torch-{model.name}-{digest[:12]}"
    with pytest.raises(InvalidInput) as caught:
        open_embedder(Settings.load(home=tmp_path, index="torch", index_model=tmp_path))
    assert caught.value.field == "index_model"


async def test_code_that_lies_beside_the_weights_is_not_run(model: Path, embedder: Embedder, tmp_path: Path) -> None:
    folder, witness = planted(model, tmp_path)
    assert "auto_map" in json.loads((folder / "config.json").read_text())
    settings = Settings.load(home=tmp_path, index="torch", index_model=folder)
    assert await open_embedder(settings).embed([WANTED]) == await embedder.embed([WANTED])
    assert not witness.exists()


@pytest.fixture
async def backend() -> Backend:
    made = MemoryBackend(clock=ManualClock())
    for name, title in NEWS.items():
        event = new_event("news.today", "feed.item", "source.test", name, {"title": title}, await made.clock.now_ms())
        await MeshPublisher(made.router, made.partitions).publish(event)
    return made


async def opened(settings: Settings, backend: Backend) -> Gatherer:
    gatherer = await bootstrap.open_gatherer(settings, backend, LocalRanker())
    assert gatherer is not None
    await gatherer.step()
    return gatherer


async def test_a_model_takes_the_place_of_the_hash_in_the_background_and_then_finds_what_shares_no_word(
    backend: Backend, embedder: Embedder, model: Path, tmp_path: Path
) -> None:
    settings = Settings.load(home=tmp_path, index="local")
    before = await opened(settings, backend)
    hashed = [near.place for near in (await before.index.near(WANTED, 3)).nearest]
    await before.index.save()
    after = await opened(settings.having(index="torch", index_model=model), backend)
    assert (after.index.header.model, after.index.header.dims) == (HashedEmbedder().name, DIMS)
    assert [near.place for near in (await after.index.near(WANTED, 3)).nearest] == hashed
    assert after.swapping is not None
    await after.swapping
    found = await after.index.near(WANTED, 3)
    assert (found.header.model, found.header.dims, found.header.version) == (embedder.name, embedder.dims, 2)
    (heart,) = (await before.index.near(NEWS["heart"], 1)).nearest
    assert found.nearest[0].place == heart.place
    assert found.nearest[0].likeness > 0.3 > found.nearest[1].likeness
