"""Hearing an answer while it is written: its pieces, resets, and then the whole, from wherever a cursor says.

    Piece Piece Reset Piece ... Answer        and with the cursor of any of them the same goes on behind it

Invariants: what was heard since the last Reset is the beginning of the answer, word for word, and together with the
pieces until the Answer it is the answer; nothing is heard twice and nothing left out, whoever dies in between; a cursor
from which something is not kept any more is refused, and the refusal names where to go on.

A cursor is a place in the life of one continuation, good for ever: behind the Answer it waits for the next one. Only
answers are heard that were asked for with `stream`; pieces are read from the store while the answer is being written,
the rest from the journal, and from the log for ever. A face (CLI, HTTP) hands on what `hear` yields, see `as_json`.

Source: spec/05 sections 5 and 7; docs/decisions/0031.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pydantic import JsonValue

from maestro.continuation.blocks import read
from maestro.continuation.checkpoint import Checkpoint, LogRecord
from maestro.errors import ContinuationMovedError, CursorTooOld, InvalidInput, TimedOut
from maestro.ids import CallId, ContinuationId
from maestro.pager.pieces import Kept
from maestro.runtime.verbs import Installation, glance_of
from maestro.tick.records import Glance
from maestro.tick.thought import streamed

PACE_S = 0.05  # between two looks while an answer is written: a person reads slower
IDLE_S = 0.25  # while none is
NONE = CallId("")
_CURSOR = re.compile(r"(\d+)\.([\w.-]*)\.(\d+|whole)\.(\d+)\.(\d+)")
GIVEN_UP = "the call was given up"
ANOTHER = "the answer that is kept is another one"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place: what lies before it was heard."""

    rev: int
    """All streamed answers of the ticks up to this one are behind."""
    call: CallId = NONE
    """The last call that was heard of."""
    number: int = 0
    """Of its last piece."""
    edition: int = 0
    at: int = 0
    """How many characters of that edition were heard."""
    whole: bool = False
    """Whether that answer is behind, too."""

    def __str__(self) -> str:
        return f"{self.rev}.{self.call}.{'whole' if self.whole else self.number}.{self.edition}.{self.at}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The place that `text` names.

        Raises:
            InvalidInput: it names none.
        """
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise InvalidInput(f"{text!r:.80} is no cursor", field="cursor", hint="give one that a stream has told")
        rev, call, number, edition, at = found.groups()
        whole = number == "whole"
        return cls(int(rev), CallId(call), 0 if whole else int(number), int(edition), int(at), whole)


@dataclass(frozen=True, slots=True)
class Piece:
    """More of the text."""

    text: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Reset:
    """All text since the last answer is void."""

    because: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole text; nothing of it is missing in the pieces."""

    text: str
    call: CallId
    cursor: str


Heard = Piece | Reset | Answer


def as_json(heard: Heard) -> dict[str, JsonValue]:
    """What was heard, as the faces tell it: `type` is piece, reset or answer."""
    match heard:
        case Piece(text, cursor):
            return {"type": "piece", "text": text, "cursor": cursor}
        case Reset(because, cursor):
            return {"type": "reset", "because": because, "cursor": cursor}
        case Answer(text, call, cursor):
            return {"type": "answer", "text": text, "call_id": call, "cursor": cursor}


async def hear(
    at: Installation, cid: ContinuationId, cursor: str | None = None, timeout_s: float | None = None
) -> AsyncGenerator[Heard, None]:
    """What is told of one streamed answer, the whole last; ends without where `cid` ends before there is one.

    Args:
        cursor: where to begin; by default with the answer that is written now, or with the next one.
        timeout_s: how long nothing may be told.

    Raises:
        CursorTooOld: what follows the cursor is not kept any more; its `cursor` is where what is kept begins.
        ContinuationNotFoundError, ContinuationMovedError: `cid` is not here.
        TimedOut: nothing was told for `timeout_s`.
    """
    begun = Cursor((await glance_of(at, cid)).rev) if cursor is None else Cursor.parse(cursor)
    ear, clock = _Ear(at, cid, begun), asyncio.get_running_loop().time
    heard_s = clock()
    while True:
        over = not ear.follows and await ear.over()  # first: what its last tick told is heard below
        news = await ear.listen()
        for told in news:
            yield told
            if isinstance(told, Answer):
                return
        if over and not news:
            return
        heard_s = clock() if news else heard_s
        if timeout_s is not None and clock() - heard_s > timeout_s:
            raise TimedOut(f"nothing of {cid} was told for {timeout_s} s", hint=f"go on from cursor {ear.place}")
        await asyncio.sleep(PACE_S if ear.follows else IDLE_S)


@dataclass(frozen=True, slots=True)
class _Call:
    """A streamed call: open, answered, or void."""

    id: CallId
    answer: JsonValue = None
    is_open: bool = False


class _Ear:
    """One listener and its place."""

    def __init__(self, at: Installation, cid: ContinuationId, place: Cursor) -> None:
        self._at = at
        self._cid = cid
        self.place = place
        self.follows = False
        """Whether an answer is being written."""

    async def over(self) -> bool:
        """True when nothing will be told that is not there now."""
        glance = await glance_of(self._at, self._cid)
        if glance.moved_to is not None:
            raise ContinuationMovedError(
                f"{self._cid} has moved to {glance.moved_to}", field="id", hint="ask for it there", to=glance.moved_to
            )
        return self._opened(glance).terminal

    async def listen(self) -> list[Heard]:
        """What is new; the place is behind it."""
        news: list[Heard] = []
        open_now = await self._journaled()  # first: what is committed in between is in the log then
        while True:
            call = open_now.get(self.place.call)
            if call is None or not call.is_open or self.place.whole:
                call = await self._found(open_now, news)
            self.follows = call is not None and call.is_open
            if call is None:
                return news
            if call.is_open:
                return news + await self._pieces(call)
            if call.answer is not None:
                return news + self._answer(call.id, call.answer)
            news += self._void()

    async def _found(self, open_now: Mapping[CallId, _Call], news: list[Heard]) -> _Call | None:
        """The call to listen to, at whose beginning the place is now if it is another one; None where there is none."""
        logged, last = await self._logged()
        calls = [*logged, *(call for call in open_now.values() if call.id not in {one.id for one in logged})]
        ids = [call.id for call in calls]
        if self.place.call in ids:
            here = ids.index(self.place.call)
            if not self.place.whole:
                return calls[here]
            calls = calls[here + 1 :]
        elif self.place.call != NONE and not self.place.whole:
            news += self._void()
        if calls:
            self.place = Cursor(self.place.rev, calls[0].id)
            return calls[0]
        if self.place.call not in open_now:
            self.place = Cursor(last)
        return None

    def _void(self) -> list[Heard]:
        """What was heard of this call was all there will be."""
        spoken = self.place.at > 0
        self.place = replace(self.place, number=0, edition=0, at=0, whole=True)
        return [Reset(GIVEN_UP, str(self.place))] if spoken else []

    async def _pieces(self, call: _Call) -> list[Heard]:
        kept = await self._at.backend.pieces.read(self._cid, call.id, self.place.number)
        if kept and kept[0].number > self.place.number + 1:
            first = kept[0]
            onward = replace(self.place, number=first.number - 1, edition=first.edition, at=first.at)
            raise CursorTooOld(
                f"pieces {self.place.number + 1} to {first.number - 1} of {call.id} are not kept any more",
                field="cursor",
                hint=f"go on from {onward}; the whole answer comes with the end",
                cursor=str(onward),
            )
        return [self._piece(one) for one in kept]

    def _piece(self, kept: Kept) -> Heard:
        place = replace(self.place, number=kept.number, edition=kept.edition, at=kept.at + len(kept.text))
        self.place = place
        return Piece(kept.text, str(place)) if kept.because is None else Reset(kept.because, str(place))

    def _answer(self, call: CallId, answer: JsonValue) -> list[Heard]:
        """What is left of the answer, and the whole; taken back first what was heard of another edition."""
        whole = str(answer["content"]) if isinstance(answer, dict) else str(answer)
        edition = answer.get("edition", 0) if isinstance(answer, dict) else 0
        news: list[Heard] = []
        if self.place.at > 0 and edition != self.place.edition:
            self.place = replace(self.place, edition=int(str(edition)), at=0)
            news.append(Reset(ANOTHER, str(self.place)))
        rest = whole[self.place.at :]
        self.place = replace(self.place, edition=int(str(edition)), at=len(whole))
        if rest:
            news.append(Piece(rest, str(self.place)))
        self.place = Cursor(self.place.rev, call, whole=True)
        return [*news, Answer(whole, call, str(self.place))]

    async def _journaled(self) -> dict[CallId, _Call]:
        """The streamed calls of the open tick, in order."""
        found: dict[CallId, _Call] = {}
        for entry in await self._at.backend.journals.entries(self._cid):
            if (call := streamed(entry.question)) is not None:
                found[call] = _Call(
                    call, entry.answer if entry.answered else None, not (entry.answered or entry.failed)
                )
        return found

    async def _logged(self) -> tuple[Sequence[_Call], int]:
        """Those of the ticks behind the place, in order; and the last of these ticks."""
        found: list[_Call] = []
        lines = await self._at.backend.records.log(self._cid, self.place.rev + 1)
        fetch = partial(self._at.backend.blocks.get, self._cid)
        for _, line in lines:
            body = self._at.seal.open(line, "record", self._cid, self._at.tenant).body
            for note in LogRecord.model_validate_json(body).effects:
                if (call := streamed(note.question)) is not None:
                    answered = note.outcome == "answered" and note.answer is not None
                    found.append(_Call(call, await read(note.answer, fetch) if answered else None))
        return found, self.place.rev + len(lines)

    def _opened(self, glance: Glance) -> Checkpoint:
        body = self._at.seal.open(glance.checkpoint, "checkpoint", self._cid, self._at.tenant).body
        return Checkpoint.model_validate_json(body)
