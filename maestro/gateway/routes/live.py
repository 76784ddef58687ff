"""What happens, as it happens: streams, and the same by polling."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse

from maestro.gateway import streams, voice
from maestro.gateway.access import Asker
from maestro.gateway.events import Cursor
from maestro.gateway.gate import Gate, Gated, Looker
from maestro.gateway.problems import Gap
from maestro.gateway.routes.look import Id, Limit
from maestro.gateway.shapes import Counts
from maestro.gateway.streams import Stream
from maestro.gateway.tidings import Events, Spoken
from maestro.ids import ContinuationId

router = APIRouter(tags=["live"])
PING_S, SEND_S = 15, 20.0
After = Annotated[str | None, Query(max_length=40_000)]
LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=40_000)]
Place = Annotated[str | None, Query(max_length=300)]
LastPlace = Annotated[str | None, Header(alias="Last-Event-ID", max_length=300)]
SSE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events, see docs/reference/http-api.md"}
}


@router.get("/v1/stream", responses=SSE, response_class=EventSourceResponse)
async def control(gate: Gated, asker: Looker, after: After = None, last_event_id: LastId = None) -> EventSourceResponse:
    """The control channel of whoever asks."""
    return _stream(gate, asker, last_event_id or after, None)


@router.get("/v1/continuations/{id}/stream", responses=SSE, response_class=EventSourceResponse)
async def stream(
    gate: Gated, asker: Looker, id: Id, after: After = None, last_event_id: LastId = None
) -> EventSourceResponse:
    """What happens to one continuation."""
    return _stream(gate, asker, last_event_id or after, await gate.find(asker, id))


@router.get("/v1/events")
async def events(gate: Gated, asker: Looker, after: After = None, limit: Limit = 100) -> Events:
    """The events behind `after`, for whoever polls; without it, none, and the cursor of now."""
    return await _polled(gate, asker, after, limit, None)


@router.get("/v1/continuations/{id}/events")
async def events_of(gate: Gated, asker: Looker, id: Id, after: After = None, limit: Limit = 100) -> Events:
    """The same, of one continuation."""
    return await _polled(gate, asker, after, limit, await gate.find(asker, id))


@router.get("/v1/continuations/{id}/answer/stream", responses=SSE, response_class=EventSourceResponse)
async def answers(
    gate: Gated, asker: Looker, id: Id, after: Place = None, last_event_id: LastPlace = None
) -> EventSourceResponse:
    """Its streamed answers while they are written, one after the other."""
    place, cid = last_event_id or after, await gate.find(asker, id)
    if place is not None:
        voice.checked(place)
    return EventSourceResponse(voice.told(gate, asker, cid, place), ping=PING_S, send_timeout=SEND_S)


@router.get("/v1/continuations/{id}/answer")
async def answer(gate: Gated, asker: Looker, id: Id, after: Place = None) -> Spoken:
    """The same, for whoever polls: what is written by now of one answer."""
    return await voice.spoken(gate, asker, await gate.find(asker, id), after)


def _stream(gate: Gate, asker: Asker, after: str | None, only: ContinuationId | None) -> EventSourceResponse:
    if after is not None:
        Cursor.parse(after, gate.at.backend.partitions)  # refused now, not in the middle of an answer
    return EventSourceResponse(streams.told(gate, asker, after, only), ping=PING_S, send_timeout=SEND_S)


async def _polled(gate: Gate, asker: Asker, after: str | None, limit: int, only: ContinuationId | None) -> Events:
    place = Stream(gate, asker, only)
    gap = await place.begin(after)
    if gap is not None:
        reason = f"what came behind this cursor cannot be told: {gap.data['reason']}"
        counts = Counts.model_validate(gap.data["counts"])
        hint = "read the lists again, and go on from `cursor`"
        raise Gap(reason, field="after", hint=hint, cursor=str(gap.data["cursor"]), snapshot=counts)
    items = [] if after is None else await place.next(limit)
    return Events(items=items, cursor=str(place.cursor))
