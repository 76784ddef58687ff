"""maestro.field.vectors on FAISS: an exact index in memory, and its snapshot in a folder.

    index.json              what is known beside the vectors, and which file they are in: written last
    vectors-<sha256>.faiss  the vectors

Exact (`IndexFlatIP`), because entries are dropped one by one and answers are compared: 100,000 vectors of 384
dimensions are 150 MB and some milliseconds a look. Invariants: a snapshot appears by one rename, whole; after it no
other vectors lie in the folder.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy
import orjson
from pydantic import ValidationError

from maestro.field.embedding import Vector
from maestro.field.vectors import Kept, Vectors
from maestro.ids import new_token

INDEX = "index.json"
SPARE = 8  # looked at beyond the wanted: ties are ordered here, not by FAISS


class FaissVectors:
    """maestro.field.vectors.Vectors in one FAISS index.

    Args:
        index: of kind IDMap2 over a flat one, by inner product.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    def put(self, numbers: Sequence[int], vectors: Sequence[Vector]) -> None:
        if not numbers:
            return
        self.drop(numbers)
        rows = numpy.asarray(vectors, dtype=numpy.float32).reshape(len(numbers), self._index.d)
        self._index.add_with_ids(rows, numpy.asarray(numbers, dtype=numpy.int64))

    def drop(self, numbers: Sequence[int]) -> int:
        return int(self._index.remove_ids(numpy.asarray(numbers, dtype=numpy.int64))) if numbers else 0

    def near(self, wanted: Vector, n: int) -> list[tuple[int, float]]:
        asked = min(n + SPARE, len(self))
        if asked == 0:
            return []
        row = numpy.asarray([wanted], dtype=numpy.float32)
        likeness, numbers = self._index.search(row, asked)
        found = zip(numbers[0].tolist(), likeness[0].tolist(), strict=True)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:n]

    def dump(self) -> bytes:
        return bytes(faiss.serialize_index(self._index).tobytes())

    def __len__(self) -> int:
        return int(self._index.ntotal)


class FaissStock:
    """maestro.field.vectors.Stock in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, dims: int) -> Vectors:
        return FaissVectors(faiss.IndexIDMap2(faiss.IndexFlatIP(dims)))

    def write(self, kept: Kept, dump: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"vectors-{hashlib.sha256(dump).hexdigest()}.faiss"
        self._put(name, dump)
        self._put(INDEX, orjson.dumps({"vectors": name, "kept": kept.model_dump_json()}))
        for other in self._folder.iterdir():
            if other.name not in (INDEX, name):
                other.unlink(missing_ok=True)

    def read(self) -> tuple[Kept, Vectors] | None:
        try:
            told = orjson.loads((self._folder / INDEX).read_bytes())
            dump = (self._folder / told["vectors"]).read_bytes()
            kept = Kept.model_validate_json(told["kept"])
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None
        if told["vectors"] != f"vectors-{hashlib.sha256(dump).hexdigest()}.faiss":
            return None
        return kept, FaissVectors(faiss.deserialize_index(numpy.frombuffer(dump, dtype=numpy.uint8)))

    def _put(self, name: str, body: bytes) -> None:
        half = self._folder / f"{name}.{new_token('half')}"
        with half.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        half.replace(self._folder / name)
