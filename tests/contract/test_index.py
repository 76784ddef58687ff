"""The index over both engines: numbers that only rise, scopes, what is forgotten, and a swap that nobody notices."""

import asyncio
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from maestro.adapters.memory.vectors import MemoryStock, MemoryVectors
from maestro.errors import InvalidInput
from maestro.field.embedding import HashedEmbedder, Vector
from maestro.field.index import EVERYBODY, Document, Found, Index
from maestro.field.vectors import Place, Stock
from maestro.ids import EntryId, Partition

HERE = Partition(0)
TOPICS = ("volcanic tremor", "sourdough bread", "steel bridges", "sleeping actors", "coral reefs", "prime numbers")


@pytest.fixture(params=["memory", "faiss"])
def stock(request: pytest.FixtureRequest, tmp_path: Path) -> Stock:
    if request.param == "memory":
        return MemoryStock()
    if importlib.util.find_spec("faiss") is None:
        pytest.skip("faiss is not here")
    made: Stock = importlib.import_module("maestro.adapters.faiss.vectors").FaissStock(tmp_path / "index")
    return made


def text_of(name: str) -> str:
    number = int(name.removeprefix("#"))
    return f"{TOPICS[number % len(TOPICS)]}, observation {number} of {number % 7} in the year {1900 + number}"


def document(number: int, scope: str = EVERYBODY) -> Document:
    return Document(Place(EntryId(f"#{number}"), scope, 0, f"{number}-0"), text_of(f"#{number}"))


async def texts(places: Sequence[Place]) -> Mapping[EntryId, str]:
    await asyncio.sleep(0)
    return {place.id: text_of(place.id) for place in places}


async def filled(stock: Stock, count: int, dims: int = 64) -> Index:
    index = Index(HashedEmbedder(dims), stock)
    await index.add([document(number) for number in range(1, count + 1)], HERE, f"{count}-0")
    return index


def ids(found: Found) -> list[str]:
    return [near.place.id for near in found.nearest]


async def test_whoever_remembers_how_far_he_looked_sees_what_came_later_and_is_near_and_that_only(stock: Stock) -> None:
    index = await filled(stock, 12)
    found = await index.near("volcanic tremor", 2)
    assert set(ids(found)) == {"#6", "#12"}
    assert ids(await index.near("volcanic tremor", 2, after=found.newest)) == []
    await index.add([document(13), document(18)], HERE, "18-0")
    assert ids(await index.near("volcanic tremor", 3, after=found.newest)) == ["#18"]


async def test_the_same_thing_told_again_has_its_number_already(stock: Stock) -> None:
    index = await filled(stock, 3)
    assert await index.add([document(2), document(4), document(4)], HERE, "9-0") == 1
    assert (len(index), index.newest, index.reached(HERE)) == (4, 4, "9-0")


async def test_what_is_a_familys_is_found_by_that_family_however_near_it_is_to_others(stock: Stock) -> None:
    index = await filled(stock, 12)
    await index.add([document(number, "root-1") for number in range(18, 120, 6)], HERE, "z")
    assert set(ids(await index.near("volcanic tremor", 2))) == {"#6", "#12"}
    assert "#6" not in ids(await index.near("volcanic tremor", 2, ("root-1",)))
    assert len(ids(await index.near("volcanic tremor", 30, (EVERYBODY, "root-1")))) == 29


async def test_what_is_kept_is_read_on_from_and_numbers_go_on_above_all_that_were_given(stock: Stock) -> None:
    index = await filled(stock, 5)
    await index.save()
    await index.add([document(6)], HERE, "6-0")  # and it dies
    again = Index(HashedEmbedder(64), stock, stock.read(), at_least=1_000)
    assert (again.reached(HERE), len(again)) == ("5-0", 5)
    await again.add([document(6)], HERE, "6-0")
    found = await again.near("volcanic tremor", 1, after=index.newest)
    assert (ids(found), found.nearest[0].number) == (["#6"], 1_001)


async def test_an_index_is_never_opened_with_vectors_of_another(stock: Stock) -> None:
    await (await filled(stock, 5)).save()
    with pytest.raises(InvalidInput):
        Index(HashedEmbedder(32), stock, stock.read())


async def test_what_is_forgotten_is_found_by_nobody_and_is_not_in_what_is_kept(stock: Stock) -> None:
    index = await filled(stock, 12)
    await index.save()
    assert await index.forget([EntryId("#6"), EntryId("#nobody")]) == 1
    assert ids(await index.near("volcanic tremor", 1)) == ["#12"]
    kept = stock.read()
    assert kept is not None
    assert (len(kept[1]), "#6" in {place.id for place in kept[0].places.values()}) == (11, False)


async def right(
    embedder: HashedEmbedder, names: Sequence[str], wanted: str, n: int, made: dict[str, dict[str, Vector]]
) -> list[str]:
    """The nearest by brute force, of one embedder alone."""
    rows = made.setdefault(embedder.name, {})
    missing = [name for name in names if name not in rows]
    rows.update(zip(missing, await embedder.embed([text_of(name) for name in missing]), strict=True))
    plain = MemoryVectors({place: rows[name] for place, name in enumerate(names)})
    (row,) = await embedder.embed([wanted])
    return [names[number] for number, _ in plain.near(row, n)]


@pytest.mark.shows("7.7")
@pytest.mark.spec("03.11")
async def test_while_vectors_are_made_anew_every_look_is_answered_and_by_one_embedder_alone(stock: Stock) -> None:
    old, new = HashedEmbedder(384), HashedEmbedder(96)
    index = Index(old, stock)
    await index.add([document(number) for number in range(1, 101)], HERE, "100-0")
    swapping = asyncio.create_task(index.swap(new, texts))
    answers: list[tuple[list[str], str, Found]] = []
    told = 100
    while not swapping.done() or len(answers) < 8:
        names = [f"#{number}" for number in range(1, told + 1)]
        wanted = TOPICS[len(answers) % len(TOPICS)]
        answers.append((names, wanted, await index.near(wanted, 5)))
        if not swapping.done() and told < 130:
            told += 1
            await index.add([document(told)], HERE, f"{told}-0")
    assert (await swapping).model_dump() == {"model": new.name, "dims": 96, "metric": "cosine", "version": 2}
    assert {found.header.model for _, _, found in answers} == {old.name, new.name}
    made: dict[str, dict[str, Vector]] = {}
    for names, wanted, found in answers:
        embedder = old if found.header.model == old.name else new
        assert ids(found) == await right(embedder, names, wanted, 5, made)
    versions = [found.header.version for _, _, found in answers]
    assert versions == sorted(versions)
    assert len(index) == told > 100


async def test_what_is_forgotten_while_vectors_are_made_anew_is_not_among_them(stock: Stock) -> None:
    index = await filled(stock, 150)
    swapping = asyncio.create_task(index.swap(HashedEmbedder(32), texts))
    for _ in range(100):  # the first batch is made, the second half made
        await asyncio.sleep(0)
    await index.forget([EntryId("#6"), EntryId("#72"), EntryId("#150")])
    await swapping
    assert {"#6", "#72", "#150"}.isdisjoint(ids(await index.near("volcanic tremor", 150)))
    kept = stock.read()
    assert kept is not None
    assert (len(index), len(kept[1]), index.header.dims) == (147, 147, 32)


async def test_a_swap_that_fails_leaves_the_index_as_it_was_and_the_log_drops_what_it_dropped(stock: Stock) -> None:
    index = await filled(stock, 10)

    async def away(_: Sequence[Place]) -> Mapping[EntryId, str]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await index.swap(HashedEmbedder(32), away)
    assert (index.header.dims, len(index)) == (64, 10)

    async def half(places: Sequence[Place]) -> Mapping[EntryId, str]:
        return {place.id: text_of(place.id) for place in places if place.id != "#6"}

    await index.swap(HashedEmbedder(32), half)
    assert (index.header.dims, len(index)) == (32, 9)
