"""Webhooks in over HTTP: a small ASGI app, to be run by itself or mounted into another.

    POST /<name>     202 {"id", "duplicate"}   the event is durable
                     400 no JSON   401 not signed, too late, or a replay   404 no such hook   405   413 too large
                     503 the store does not answer: send it again

Invariants: the body is read up to its limit and not beyond; nothing is published that is not verified; a refusal says
nothing about which part was wrong beyond its words; a signature whose event did not become durable may be sent again.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import orjson
from starlette.routing import BaseRoute, Mount

from maestro.clock import Clock
from maestro.errors import InvalidInput, MaestroError, StoreError, WebhookRefused
from maestro.mesh.source import Published, Publisher
from maestro.mesh.webhook import Hook, Replays, received, verify

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class TooLarge(Exception):
    """The body is larger than its hook takes."""


class WebhookInbox:
    """An ASGI app: what is signed becomes an event."""

    def __init__(self, hooks: Sequence[Hook], publisher: Publisher, clock: Clock) -> None:
        self._hooks = {hook.name: hook for hook in hooks}
        self._replays = {hook.name: Replays() for hook in hooks}
        self._publisher = publisher
        self._clock = clock

    def routes(self, under: str = "/webhooks") -> list[BaseRoute]:
        """What an application of Starlette or FastAPI takes in, so that hooks are POSTed to `under`/<name>."""
        return [Mount(under, app=self, name="webhooks")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, answered."""
        if scope["type"] != "http":
            return
        status, answer = await self._answer(scope, receive)
        body = orjson.dumps(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Mapping[str, object]]:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        hook = self._hooks.get(path.strip("/"))
        if hook is None:
            return 404, {"code": "not_found", "message": "no webhook of that name"}
        if scope["method"] != "POST":
            return 405, {"code": "method", "message": "webhooks are sent by POST"}
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            published = await self._take(hook, headers, await _body(receive, headers, hook.max_bytes))
        except TooLarge:
            return 413, {"code": "too_large", "message": f"at most {hook.max_bytes} bytes are taken"}
        except WebhookRefused as error:
            return 401, _told(error)
        except InvalidInput as error:
            return 400, _told(error)
        except StoreError as error:
            return 503, _told(error)
        return 202, {"id": published.event_id, "duplicate": published.duplicate}

    async def _take(self, hook: Hook, headers: Mapping[str, str], body: bytes) -> Published:
        now_ms = await self._clock.now_ms()
        signature = verify(hook, headers, body, now_ms)
        event = received(hook, headers, body, now_ms)
        replays = self._replays[hook.name]
        if not replays.take(signature, now_ms):
            raise WebhookRefused("the webhook is refused: it was sent before", hint="sign each try anew")
        try:
            return await self._publisher.publish(event)
        except BaseException:
            replays.forget(signature)
            raise


async def _body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    stated = headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > limit:
        raise TooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise WebhookRefused("the webhook is refused: its body did not come whole", hint="send it again")
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(body)


def _told(error: MaestroError) -> Mapping[str, object]:
    return {"code": error.code, "message": error.message, "hint": error.hint}
