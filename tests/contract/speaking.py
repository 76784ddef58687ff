"""Providers that say what a test lets them say, the process of their pager, and a store of pieces that may be away."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from maestro.errors import ModelError, ProviderUnavailable, StoreUnavailable
from maestro.ids import CallId, ContinuationId
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.pieces import Kept, Pieces, Writing
from maestro.pager.request import ModelRequest
from maestro.pager.streaming import Chunk, Reset, Told
from maestro.pager.telling import Telling
from maestro.tick.answers import JournaledAnswers
from tests.stage import Stage, result

END = None
Line = Chunk | Reset | ModelError | None
"""What the provider does next; END is its result."""


class Speaker:
    """A provider that says what a test lets it say, line by line."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[Line] = asyncio.Queue()
        self.asked = 0

    def say(self, *lines: "str | Line") -> None:
        for line in lines:
            self.lines.put_nowait(Chunk(line) if isinstance(line, str) else line)

    async def answer(self, request: ModelRequest) -> ModelCallResult:
        return result(request)

    async def in_pieces(self, request: ModelRequest) -> AsyncIterator[Told]:
        self.asked += 1
        text = ""
        while (line := await self.lines.get()) is not END:
            if isinstance(line, ModelError):
                raise line
            text = text + line.text if isinstance(line, Chunk) else ""
            yield line
        yield result(request, text)

    def desk(self, stage: Stage, pieces: Pieces | None = None) -> PagerDesk:
        """A pager that asks it, of a process of its own."""
        telling = Telling(self.answer, self.in_pieces, pieces or stage.backend.pieces)
        return PagerDesk(telling.answer, JournaledAnswers(stage.backend.journals))


class Mortal:
    """A pager's process, as the tick that waits for it knows it."""

    def __init__(self, desk: PagerDesk) -> None:
        self.desk = desk
        self._calls: list[asyncio.Task[ModelCallResult]] = []

    async def call(self, request: ModelRequest) -> ModelCallResult:
        task = asyncio.create_task(self.desk._answer(request))
        self._calls.append(task)
        await asyncio.wait({task})
        if task.cancelled():
            raise ProviderUnavailable("the pager died", retry_after_ms=500)
        return task.result()

    def die(self) -> None:
        for task in self._calls:
            task.cancel()


class Flaky:
    """A store of pieces that may be away."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self.away = False
        self.refused = 0
        self.added: list[str] = []

    async def begin(self, writing: Writing, because: str) -> int:
        return await self._pieces.begin(writing, because)

    async def add(self, writing: Writing, edition: int, texts: Sequence[str]) -> bool:
        if self.away:
            self.refused += 1
            raise StoreUnavailable("the store is away")
        self.added += texts
        return await self._pieces.add(writing, edition, texts)

    async def read(self, cid: ContinuationId, call_id: CallId, after: int = 0, limit: int = 256) -> Sequence[Kept]:
        return await self._pieces.read(cid, call_id, after, limit)
