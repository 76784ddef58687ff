"""The index of a tenant: what of all that was ever told is near a text.

    log of events -> add -> vectors, by number                     near(text) -> places in the log, nearest first
                       swap: embedded anew in the background, then served in place of the old ones, in one moment

Invariants:
- one embedder makes the vectors of a set and of what is looked for in it: no answer mixes two;
- a number is given once and only rises: whoever remembers how far he looked sees what came later, and that only;
- what was forgotten is in no set, neither in the one that serves nor in the one that is being made, nor on disk.

What is not here: the texts (they stay in the log, which may drop them), and who follows the log (`runtime.gathering`).

Source: spec/03 section 10.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from maestro.errors import InvalidInput
from maestro.field.embedding import Embedder, Vector
from maestro.field.vectors import Header, IndexTold, Kept, Place, Stock, Vectors
from maestro.ids import EntryId, Partition

BATCH = 64
EVERYBODY = ""
FLOAT_BYTES = 4

Texts = Callable[[Sequence[Place]], Awaitable[Mapping[EntryId, str]]]
"""The texts that the log still has."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text on its way into the index."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Near:
    """Something that is near what was looked for."""

    number: int
    place: Place
    likeness: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was near, nearest first, and what says so."""

    header: Header
    newest: int
    """The highest number that was looked at."""
    nearest: tuple[Near, ...]


@dataclass(frozen=True, slots=True)
class _Generation:
    """Vectors of one embedder, and that embedder."""

    header: Header
    embedder: Embedder
    vectors: Vectors

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        made = await self.embedder.embed(texts)
        if len(made) != len(texts) or any(len(each) != self.header.dims for each in made):
            raise InvalidInput(
                f"{self.header.model} made other vectors than {len(texts)} of {self.header.dims} dimensions",
                field="embedder",
                hint="rebuild the index with the model that its header names",
            )
        return made


class Index:
    """One tenant's, in one process.

    Args:
        kept: what was kept of it, with its vectors; of `embedder`, or of nobody.
        at_least: its numbers are higher: fields were looked through up to there.
    """

    def __init__(
        self, embedder: Embedder, stock: Stock, kept: tuple[Kept, Vectors] | None = None, at_least: int = 0
    ) -> None:
        self._stock = stock
        if kept is None:
            header = Header(model=embedder.name, dims=embedder.dims)
            kept = Kept(header=header, following=1, reached={}, places={}), stock.new(embedder.dims)
        known, vectors = kept
        if known.header.model != embedder.name:
            raise InvalidInput(f"the index is of {known.header.model}, not of {embedder.name}", field="embedder")
        self._serving = _Generation(known.header, embedder, vectors)
        self._coming: _Generation | None = None
        self._places = dict(known.places)
        self._numbers = {place.id: number for number, place in self._places.items()}
        self._reached = dict(known.reached)
        self._following = max(known.following, at_least + 1)
        self._saving = asyncio.Lock()
        self.unsaved = 0
        """Documents since the last `save`."""

    @property
    def header(self) -> Header:
        return self._serving.header

    @property
    def newest(self) -> int:
        """The highest number that was given."""
        return self._following - 1

    def __len__(self) -> int:
        return len(self._places)

    def told(self) -> IndexTold:
        return IndexTold(
            header=self.header,
            texts=len(self),
            size_bytes=FLOAT_BYTES * self.header.dims * len(self._serving.vectors),
            reached=dict(self._reached),
            coming=None if self._coming is None else self._coming.header,
        )

    def reached(self, partition: Partition) -> str:
        """Up to which event the log of a partition is in the index."""
        return self._reached.get(partition, "")

    def scope_of(self, name: EntryId) -> str | None:
        """Whose affair it is; None for what is not in the index."""
        known = self.document(name)
        return None if known is None else known[1].scope

    def document(self, name: EntryId) -> tuple[int, Place] | None:
        """Its number, and where it stands; None for what is not in the index."""
        number = self._numbers.get(name)
        return None if number is None else (number, self._places[number])

    async def add(self, documents: Sequence[Document], partition: Partition, reached: str) -> int:
        """The log of a partition is in the index up to `reached`; returns how many of `documents` were new."""
        fresh = {each.place.id: each for each in documents if each.place.id not in self._numbers}
        made: Sequence[Vector] = []
        while fresh:
            generation = self._serving
            made = await generation.embed([each.text for each in fresh.values()])
            if generation is self._serving:  # else another embedder serves by now
                break
        numbers = list(range(self._following, self._following + len(fresh)))
        self._following += len(fresh)
        self._serving.vectors.put(numbers, made)
        for number, each in zip(numbers, fresh.values(), strict=True):
            self._places[number] = each.place
            self._numbers[each.place.id] = number
        self._reached[partition] = reached
        self.unsaved += len(fresh)
        return len(fresh)

    async def near(self, text: str, n: int, scopes: Collection[str] = (EVERYBODY,), after: int = 0) -> Found:
        """Of the `n` nearest that these scopes may see, those with a number beyond `after`."""
        generation, newest = self._serving, self.newest
        (wanted,) = await generation.embed([text])
        asked = n
        while True:
            hits = generation.vectors.near(wanted, asked)
            seen = [(number, near) for number, near in hits if self._is_for(number, scopes)]
            if len(seen) >= n or asked >= len(generation.vectors):
                break
            asked *= 4
        nearest = (Near(number, self._places[number], near) for number, near in seen[:n] if number > after)
        return Found(generation.header, newest, tuple(nearest))

    def _is_for(self, number: int, scopes: Collection[str]) -> bool:
        place = self._places.get(number)
        return place is not None and place.scope in scopes

    async def forget(self, ids: Collection[EntryId]) -> int:
        """Nothing of these is left, in memory or on disk; returns how many there were."""
        numbers = [number for number in map(self._numbers.get, ids) if number is not None]
        if not numbers:
            return 0
        self._drop(numbers)
        await self.save()
        return len(numbers)

    def _drop(self, numbers: Sequence[int]) -> None:
        for generation in (self._serving, self._coming):
            if generation is not None:
                generation.vectors.drop(numbers)
        for number in numbers:
            del self._numbers[self._places.pop(number).id]

    async def swap(self, embedder: Embedder, texts: Texts) -> Header:
        """All vectors are of `embedder`; until this moment all were of the one before, and served.

        What the log does not have any more is forgotten.

        Raises:
            InvalidInput: another swap is under way.
        """
        if self._coming is not None:
            raise InvalidInput(f"the index is being made anew by {self._coming.header.model}", field="embedder")
        version = self.header.version + 1
        header = Header(model=embedder.name, dims=embedder.dims, version=version)
        self._coming = coming = _Generation(header, embedder, self._stock.new(embedder.dims))
        try:
            done = 0
            while batch := list(islice((number for number in self._places if number > done), BATCH)):
                await self._embed_anew(coming, batch, texts)
                done = batch[-1]
            self._serving = coming  # nothing was awaited since nothing was left
        finally:
            self._coming = None
        await self.save()
        return header

    async def _embed_anew(self, coming: _Generation, batch: Sequence[int], texts: Texts) -> None:
        found = await texts([self._places[number] for number in batch])
        told = [number for number in batch if number in self._places and self._places[number].id in found]
        made = await coming.embed([found[self._places[number].id] for number in told])
        stayed = [(number, vector) for number, vector in zip(told, made, strict=True) if number in self._places]
        coming.vectors.put([number for number, _ in stayed], [vector for _, vector in stayed])
        self._drop([number for number in batch if number not in told and number in self._places])

    async def save(self) -> None:
        """All of it is kept: whoever opens the index next reads on from here."""
        async with self._saving:  # what was told later is written later
            kept = Kept(
                header=self.header, following=self._following, reached=dict(self._reached), places=dict(self._places)
            )
            dump, self.unsaved = self._serving.vectors.dump(), 0
            await asyncio.to_thread(self._stock.write, kept, dump)
