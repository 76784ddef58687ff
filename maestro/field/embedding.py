"""The port of what makes vectors of texts, and the one that needs no model.

    text -> (dims,) floats, L2-normalised: the nearer two texts are in what they are about, the larger the dot product

Invariants: an embedder of one name gives the same text the same vector in every process, for ever; a text that says
nothing is all zeros, near to nothing.
What is not here: where vectors are kept and searched (`index`), and embedders with a model (`maestro.adapters.torch`).

Source: Achlioptas 2003, Li et al. 2006 (sparse random projections); spec/03 section 10.
"""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from maestro.field.lexicon import SHIPPED, Lexicon
from maestro.field.local import vector

DIMS = 384
SPREAD = 8  # places that a bucket of n-grams is projected to: cosines keep to about 1 / sqrt(DIMS)

Vector = Sequence[float]


class Embedder(Protocol):
    """Whoever makes vectors."""

    @property
    def name(self) -> str:
        """Of the model with its revision: two of one name make the same vectors."""
        ...

    @property
    def dims(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One vector of `dims` numbers per text, in their order.

        Raises:
            RankerFailed: it cannot now.
        """
        ...


@dataclass(frozen=True, slots=True)
class HashedEmbedder:
    """The hashed n-grams of the engine `local`, projected to few dimensions; no model, and no training."""

    dims: int = DIMS
    lexicon: Lexicon = SHIPPED

    @property
    def name(self) -> str:
        return f"hashed-1-{self.lexicon.name}-{self.dims}"

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        made: list[Vector] = []
        for text in texts:
            made.append(self._of(text))
            await asyncio.sleep(0)  # a text takes about a millisecond: others get their turn
        return made

    def _of(self, text: str) -> Vector:
        sums = [0.0] * self.dims
        for bucket, share in vector(text, self.lexicon).items():
            for place, sign in _places(bucket, self.dims):
                sums[place] += sign * share
        norm = math.sqrt(sum(value * value for value in sums))
        return tuple(value / norm for value in sums) if norm else tuple(sums)


@lru_cache(maxsize=1 << 15)
def _places(bucket: int, dims: int) -> tuple[tuple[int, float], ...]:
    """Where a bucket of n-grams is added, and with which sign: fixed for ever, because vectors are kept."""
    digest = hashlib.blake2b(f"{dims} {bucket}".encode(), digest_size=4 * SPREAD).digest()
    numbers = [int.from_bytes(digest[at : at + 4], "big") for at in range(0, len(digest), 4)]
    return tuple(((number >> 1) % dims, 1.0 if number & 1 else -1.0) for number in numbers)
