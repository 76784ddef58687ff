"""The contract of every set of vectors, and of where it is kept: brute force, and FAISS, which must agree with it."""

import importlib
import importlib.util
import math
import random
from pathlib import Path

import pytest

from maestro.adapters.memory.vectors import MemoryStock, MemoryVectors
from maestro.field.embedding import Vector
from maestro.field.vectors import Header, Kept, Place, Stock, Vectors
from maestro.ids import EntryId

DIMS = 16
DICE = random.Random(5)


@pytest.fixture(params=["memory", "faiss"])
def stock(request: pytest.FixtureRequest, tmp_path: Path) -> Stock:
    if request.param == "memory":
        return MemoryStock()
    return faiss_stock(tmp_path / "index")


def faiss_stock(folder: Path) -> Stock:
    if importlib.util.find_spec("faiss") is None:
        pytest.skip("faiss is not here")
    made: Stock = importlib.import_module("maestro.adapters.faiss.vectors").FaissStock(folder)
    return made


def drawn() -> Vector:
    """A vector of length 1, of numbers that 32 bits hold exactly enough."""
    row = [DICE.gauss(0, 1) for _ in range(DIMS)]
    norm = math.sqrt(sum(value * value for value in row))
    return tuple(value / norm for value in row)


def kept(numbers: int = 0, model: str = "hashed") -> Kept:
    places = {n: Place(EntryId(f"#{n}"), "", 0, f"{n}-0") for n in range(1, numbers + 1)}
    header = Header(model=model, dims=DIMS)
    return Kept(header=header, following=numbers + 1, reached={0: f"{numbers}-0"}, places=places)


def filled(stock: Stock, count: int) -> tuple[Vectors, list[Vector]]:
    vectors, rows = stock.new(DIMS), [drawn() for _ in range(count)]
    vectors.put(range(1, count + 1), rows)
    return vectors, rows


def test_what_is_near_is_what_brute_force_says(stock: Stock) -> None:
    vectors, rows = filled(stock, 200)
    plain = MemoryVectors(dict(enumerate(rows, 1)))
    for _ in range(20):
        wanted = drawn()
        found, right = vectors.near(wanted, 10), plain.near(wanted, 10)
        assert [number for number, _ in found] == [number for number, _ in right]
        assert [near for _, near in found] == pytest.approx([near for _, near in right], abs=1e-5)


def test_of_two_that_are_as_near_the_older_comes_first_and_no_more_come_than_there_are(stock: Stock) -> None:
    vectors, twin = stock.new(DIMS), drawn()
    assert vectors.near(twin, 5) == []
    vectors.put([7, 3, 9], [twin, twin, twin])
    assert [number for number, _ in vectors.near(twin, 2)] == [3, 7]
    assert len(vectors.near(twin, 100)) == len(vectors) == 3


def test_what_is_put_again_is_in_it_once_as_it_was_put_last(stock: Stock) -> None:
    vectors, rows = filled(stock, 3)
    vectors.put([2], [rows[0]])
    assert len(vectors) == 3
    assert [number for number, _ in vectors.near(rows[0], 2)] == [1, 2]


def test_what_was_dropped_is_near_nothing_and_dropped_once(stock: Stock) -> None:
    vectors, rows = filled(stock, 10)
    assert vectors.drop([4, 5, 99]) == 2
    assert vectors.drop([4]) == 0
    assert len(vectors) == 8
    assert {number for number, _ in vectors.near(rows[3], 10)} == {1, 2, 3, 6, 7, 8, 9, 10}


def test_what_was_written_is_read_again_whole_and_the_last_time_counts(stock: Stock) -> None:
    assert stock.read() is None
    vectors, rows = filled(stock, 50)
    stock.write(kept(50), vectors.dump())
    vectors.drop(range(1, 11))
    stock.write(kept(50, "another"), vectors.dump())
    again = stock.read()
    assert again is not None
    known, read = again
    assert known == kept(50, "another")
    assert read.near(rows[20], 50) == vectors.near(rows[20], 50)


def test_of_what_was_dropped_no_byte_is_left_on_disk(tmp_path: Path) -> None:
    stock = faiss_stock(tmp_path)
    vectors, rows = filled(stock, 20)
    stock.write(kept(20), vectors.dump())
    secret = bytes(memoryview(importlib.import_module("numpy").float32(rows[6])))
    assert secret in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    vectors.drop([7])
    stock.write(kept(20), vectors.dump())
    assert secret not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("broken", ["vectors", "index.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_snapshot_that_is_not_whole_is_none(tmp_path: Path, broken: str, how: str) -> None:
    stock = faiss_stock(tmp_path)
    vectors, _ = filled(stock, 20)
    stock.write(kept(20), vectors.dump())
    (file,) = tmp_path.glob(f"{broken}*")
    file.unlink() if how == "gone" else file.write_bytes(file.read_bytes()[:-30])
    assert stock.read() is None
