"""Telling an answer in pieces while it is written: between the providers, who stream it, and the store, which keeps it.

    Chunk Chunk -> add      Reset -> begin      the result -> all that was said is stored; then it is journaled

Invariants: what is stored of one edition is the beginning of one answer; the result names the edition that it is, word
for word, or none. One write is under way at a time, and what comes meanwhile goes together with the next: a slow store
makes pieces longer, never the call slower. A store that fails takes the rest of an edition with it, never the answer.

What is not here: who is asked (`failover`), that it is answered once (`desk`), and that pieces go when it is journaled,
which the store does in the same step.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import structlog

from maestro.errors import StoreError
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.pieces import Pieces, Writing
from maestro.pager.request import ModelRequest
from maestro.pager.streaming import Chunk, Reset, Told

log = structlog.get_logger()

BEGUN_ANEW = "another pager asks again"
"""Why an edition is void whose writer has not said so: its process ended."""
UNTOLD = 0

Answering = Callable[[ModelRequest], Awaitable[ModelCallResult]]
InPieces = Callable[[ModelRequest], AsyncIterator[Told]]


@dataclass(frozen=True, slots=True)
class Telling:
    """Answers requests; those that are to be told in pieces, are."""

    answering: Answering
    in_pieces: InPieces
    pieces: Pieces

    async def answer(self, request: ModelRequest) -> ModelCallResult:
        """maestro.pager.desk.Answering.

        Raises:
            ModelError: as those that it hands on to; what was told is void then.
        """
        if not request.stream:
            return await self.answering(request)
        pen = _Pen(self.pieces, Writing(request.cid, request.ordinal, request.call_id))
        await pen.begin(BEGUN_ANEW)
        try:
            result = await self._told(request, pen)
            return result.model_copy(update={"edition": await pen.finished(result.content)})
        finally:
            await pen.put_down()

    async def _told(self, request: ModelRequest, pen: "_Pen") -> ModelCallResult:
        result: ModelCallResult | None = None
        async for told in self.in_pieces(request):
            match told:
                case Chunk(text):
                    pen.write(text)
                case Reset(because):
                    await pen.begin(because)
                case _:
                    result = told
        assert result is not None, "a stream ends with its result, or raises"  # noqa: S101
        return result


@dataclass(slots=True)
class _Pen:
    """Writes one answer, an edition at a time."""

    pieces: Pieces
    writing: Writing
    edition: int = UNTOLD
    said: list[str] = field(default_factory=list)
    """Of this edition."""
    _dry: bool = False
    """Nothing more of this edition is stored: there is none, or somebody else's, or a piece may be missing."""
    _waiting: list[str] = field(default_factory=list)
    _under_way: "asyncio.Task[None] | None" = None

    async def begin(self, because: str) -> None:
        """What was said is void, and the next edition begins; without the store, none does."""
        await self.put_down()
        self.said.clear()
        self.edition = UNTOLD
        with self._patience():
            self.edition = await self.pieces.begin(self.writing, because)
        self._dry = self.edition == UNTOLD

    def write(self, text: str) -> None:
        """More of the text is on its way."""
        self.said.append(text)
        if self._dry:
            return
        self._waiting.append(text)
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._write(), name=f"pieces of {self.writing.call_id}")

    async def finished(self, content: str) -> int:
        """The edition that is `content`, word for word, as far as it is stored."""
        await self._written()
        return self.edition if "".join(self.said) == content else UNTOLD

    async def put_down(self) -> None:
        """Nothing is under way any more."""
        self._waiting.clear()
        await self._written()

    async def _written(self) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way})

    async def _write(self) -> None:
        while self._waiting and not self._dry:
            texts, self._waiting = self._waiting, []
            self._dry = True  # until it is known to be stored
            with self._patience():
                self._dry = not await self.pieces.add(self.writing, self.edition, ["".join(texts)])

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """Whatever fails inside is told in no pieces, and fails nothing else."""
        try:
            yield
        except StoreError as error:
            log.warning("pieces_not_told", call=self.writing.call_id, error=str(error))
