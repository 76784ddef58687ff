"""Vectors compared one by one, and kept for as long as this value lives: what every engine has to agree with."""

import operator
from collections.abc import Sequence

import orjson

from maestro.field.embedding import Vector
from maestro.field.vectors import Kept, Vectors


class MemoryVectors:
    """maestro.field.vectors.Vectors, by brute force."""

    def __init__(self, rows: dict[int, Vector] | None = None) -> None:
        self._rows = dict(rows or {})

    def put(self, numbers: Sequence[int], vectors: Sequence[Vector]) -> None:
        self._rows.update(zip(numbers, vectors, strict=True))

    def drop(self, numbers: Sequence[int]) -> int:
        return sum(self._rows.pop(number, None) is not None for number in numbers)

    def near(self, wanted: Vector, n: int) -> list[tuple[int, float]]:
        likeness = {number: sum(map(operator.mul, wanted, row)) for number, row in self._rows.items()}
        return sorted(likeness.items(), key=lambda pair: (-pair[1], pair[0]))[:n]

    def dump(self) -> bytes:
        return orjson.dumps([[number, list(row)] for number, row in self._rows.items()])

    def __len__(self) -> int:
        return len(self._rows)


class MemoryStock:
    """maestro.field.vectors.Stock that keeps what was written last, as bytes."""

    def __init__(self) -> None:
        self._written: tuple[bytes, bytes] | None = None

    def new(self, dims: int) -> Vectors:
        return MemoryVectors()

    def write(self, kept: Kept, dump: bytes) -> None:
        self._written = (kept.model_dump_json().encode(), dump)

    def read(self) -> tuple[Kept, Vectors] | None:
        if self._written is None:
            return None
        kept, dump = self._written
        return Kept.model_validate_json(kept), MemoryVectors({number: tuple(row) for number, row in orjson.loads(dump)})
