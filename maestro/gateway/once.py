"""Idempotency keys: the same request under the same key is done once, and answered alike for a day.

Invariants: the key is claimed in the store before the request is looked at, so that of two at once one is done; what is
done is told again byte for byte; what was refused frees the key; what failed or died in the middle may be sent again,
because the verbs below know the key too.

Source: PROMISES B26.
"""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from maestro.errors import Conflict, InvalidInput, MaestroError
from maestro.gateway.gate import COOKIE, gate_of
from maestro.gateway.problems import status_of
from maestro.ids import (
    ContinuationId,
    TimeMs,
    derived_continuation_id,
    derived_token,
    home_partition,
    new_continuation_id,
    new_token,
)

KIND = "once"
KEPT_MS, OPEN_MS = 24 * 3_600_000, 30_000
HEADER = "idempotency-key"
FORGOTTEN = frozenset({401, 403, 408, 413, 415, 429})  # of these nothing was done, and the next may be let in
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Note(BaseModel):
    """What is kept of a request under a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: str
    """The hash of what was asked."""
    state: Literal["open", "unknown", "done"]
    """unknown: it failed, and may have been done or not; sent again, it is done under the same names."""
    at_ms: TimeMs
    seed: str
    """What a repeated try names new things by."""
    status: int = 0
    body: str = ""


class OnceRoute(APIRoute):
    """A route that knows the header `Idempotency-Key`."""

    def get_route_handler(self) -> Handler:
        handle: Handler = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method not in ("POST", "PATCH"):
                return await handle(request)
            if not (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
                raise InvalidInput("a key is 1 to 200 printable characters", field=HEADER, hint="send a UUID")
            return await _once(request, key, handle)

        return once


def key_of(request: Request) -> str | None:
    """The key that the verbs below are given."""
    seed = getattr(request.state, "seed", None)
    return None if seed is None else derived_token("once", seed)


def new_id(request: Request, name: str | None, now_ms: TimeMs, partitions: int) -> ContinuationId:
    """The id of a new root; the same for every try under one key."""
    seed = getattr(request.state, "seed", None)
    home = home_partition(name or seed or new_token("root"), partitions)
    if seed is None:
        return new_continuation_id(now_ms, home)
    return derived_continuation_id(seed, TimeMs(request.state.seeded_ms), home)


async def _once(request: Request, key: str, handle: Handler) -> Response:
    gate = gate_of(request)
    register, now_ms = gate.at.backend.register, await gate.at.backend.clock.now_ms()
    who = request.headers.get("authorization") or request.cookies.get(COOKIE, "")
    name = _hash(f"{who}\n{key}")
    asked = _hash(f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body())
    until_ms = TimeMs(now_ms + KEPT_MS)
    note = Note(asked=asked, state="open", at_ms=now_ms, seed=new_token("seed"))
    known = await register.add(KIND, name, note.model_dump_json().encode(), until_ms)
    if known is not None:
        note = Note.model_validate_json(known)
        if note.asked != asked:
            raise Conflict("this key was used for another request", field=HEADER, hint="a new request has a new key")
        if note.state == "done":
            replayed = {"idempotency-replayed": "true"}
            return Response(note.body, note.status, replayed, media_type="application/json" if note.body else None)
        if note.state == "open" and now_ms - note.at_ms < OPEN_MS:
            raise Conflict("the same request is being done", field=HEADER, hint="send it again in a moment")
    request.state.seed, request.state.seeded_ms = note.seed, note.at_ms
    try:
        response = await handle(request)
    except MaestroError as error:
        if status_of(error) < 500:  # refused: nothing was done
            await register.take(KIND, name)
        else:
            await register.put(KIND, name, _unknown(note), until_ms)
        raise
    except RequestValidationError:
        await register.take(KIND, name)
        raise
    told = {"state": "done", "status": response.status_code, "body": bytes(response.body).decode()}
    await register.put(KIND, name, note.model_copy(update=told).model_dump_json().encode(), until_ms)
    return response


def _unknown(note: Note) -> bytes:
    return note.model_copy(update={"state": "unknown"}).model_dump_json().encode()


def _hash(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
