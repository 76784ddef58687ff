"""Answers while they are written: the pieces of a streamed model answer as a channel of their own, which resumes by id.

    hello, piece, piece, reset, piece, answer, piece, ...        each with the cursor behind it as its id

Invariants: what came since the last `reset` or `answer` is the beginning of the answer, whoever connects when, and with
the pieces until `answer` it is the answer; pieces that are not kept any more are a `gap`, with the way on; nothing of
this is in the feed.
What is not here: what is kept of an answer, and for how long (`maestro.runtime.hearing`).

Source: spec/06 section 4 (F-45).
"""

from collections.abc import AsyncIterator
from time import monotonic

import orjson
from pydantic import JsonValue

from maestro.errors import ContinuationMovedError, ContinuationNotFoundError, CursorTooOld, InvalidInput, TimedOut
from maestro.gateway.access import Asker
from maestro.gateway.gate import Gate
from maestro.gateway.problems import Gap
from maestro.gateway.streams import AGAIN_S
from maestro.gateway.tidings import Spoken
from maestro.gateway.wishes import Filter
from maestro.ids import ContinuationId
from maestro.runtime.hearing import Answer, Cursor, Piece, Reset, as_json, hear
from maestro.runtime.verbs import glance_of

MOST = 2**53
Frame = dict[str, str]


def checked(after: str) -> Cursor:
    """The place that a client gave back.

    Raises:
        InvalidInput: it is none.
    """
    place = Cursor.parse(after)
    if max(place.rev, place.number, place.edition, place.at) > MOST:
        raise InvalidInput(f"{after[:60]!r} is no cursor", field="after", hint="give back what an event had as its id")
    return place


async def told(gate: Gate, asker: Asker, cid: ContinuationId, after: str | None) -> AsyncIterator[Frame]:
    """The pieces of one answer after the other, as sse-starlette takes them, until the client goes or `cid` ends."""
    rev = (await glance_of(gate.at, cid)).rev
    place = str(Cursor(rev)) if after is None else after
    yield _framed("hello", {"cursor": place})
    if checked(place).rev > rev:
        place = str(Cursor(rev))
        yield _framed("gap", {"reason": "future", "cursor": place})
    welcome_at, reason = monotonic(), ""
    while not reason:
        try:
            reason = "ended"
            async for heard in hear(gate.at, cid, place, AGAIN_S):
                place = heard.cursor
                yield {**_framed(str(as_json(heard)["type"]), as_json(heard)), "id": place}
                if isinstance(heard, Answer) or monotonic() - welcome_at > AGAIN_S:
                    reason = ""
                    break
        except TimedOut:
            reason = ""
        except CursorTooOld as error:
            reason, place = "", str(error.facts["cursor"])
            yield _framed("gap", {"reason": "trimmed", "cursor": place})
        except (ContinuationMovedError, ContinuationNotFoundError):
            reason = "gone"
        if monotonic() - welcome_at > AGAIN_S:
            welcome_at = monotonic()
            reason = reason if await gate.doorkeeper.again(asker) else "revoked"
    yield _framed("bye", {"reason": reason, "cursor": place})


async def spoken(gate: Gate, asker: Asker, cid: ContinuationId, after: str | None) -> Spoken:
    """What can be told now, for whoever polls: of the answer that is being written, or of the next one.

    Raises:
        Gap: what follows `after` is not kept any more, or has not happened.
    """
    rev = (await glance_of(gate.at, cid)).rev
    place, text, items = str(Cursor(rev)) if after is None else after, "", []
    if checked(place).rev > rev:
        raise await _gap(gate, asker, "future", str(Cursor(rev)))
    try:
        async for heard in hear(gate.at, cid, place, 0):
            place = heard.cursor
            items.append(as_json(heard))
            match heard:
                case Piece(more, _):
                    text += more
                case Reset():
                    text = ""
    except TimedOut:
        pass  # no more is known now, and whoever polls does not wait for it
    except CursorTooOld as error:
        raise await _gap(gate, asker, "trimmed", str(error.facts["cursor"])) from None
    whole = bool(items) and items[-1]["type"] == "answer"
    return Spoken(id=cid, text=str(items[-1]["text"]) if whole else text, whole=whole, items=items, cursor=place)


async def _gap(gate: Gate, asker: Asker, reason: str, cursor: str) -> Gap:
    counts = (await gate.directory.counted(Filter(), asker.subtree))[0]
    told = f"what came behind this cursor cannot be told: {reason}"
    return Gap(told, field="after", hint="the whole answer comes with its end", cursor=cursor, snapshot=counts)


def _framed(event: str, data: dict[str, JsonValue]) -> Frame:
    return {"event": event, "data": orjson.dumps(data).decode()}
