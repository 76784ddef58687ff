"""Webhooks in over ASGI, as a server calls the app."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import httpx
import pytest

from maestro.adapters.webhook.inbox import WebhookInbox
from maestro.clock import ManualClock
from maestro.mesh.webhook import Hook, sign
from tests.integration.feed_support import Shelf

NOW = 1_795_000_000_000
SECRET = b"sixteen bytes or more"
HOOK = Hook("ci", "ci.builds", (SECRET,), max_bytes=1_000)


def signed(id_: str = "m-1", body: bytes = b'{"n": 1}', at_s: int = NOW // 1000) -> dict[str, str]:
    return {"webhook-id": id_, "webhook-timestamp": str(at_s), "webhook-signature": sign(SECRET, id_, at_s, body)}


class Inbox:
    def __init__(self) -> None:
        self.shelf, self.clock = Shelf(), ManualClock(NOW)
        app = WebhookInbox([HOOK], self.shelf, self.clock)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hooks")

    async def post(self, headers: Mapping[str, str], body: bytes = b'{"n": 1}', path: str = "/ci") -> httpx.Response:
        return await self._client.post(path, content=body, headers=dict(headers))

    async def get(self, path: str) -> httpx.Response:
        return await self._client.get(path)


async def test_what_is_signed_is_an_event_before_it_is_acknowledged() -> None:
    inbox = Inbox()
    answer = await inbox.post(signed())
    (event,) = inbox.shelf.events.values()
    assert (answer.status_code, answer.json()) == (202, {"id": event.id, "duplicate": False})
    assert (event.subject, event.payload, event.taint) == ("ci.builds", {"n": 1}, "untrusted")


async def test_a_replay_is_refused_and_a_second_try_is_the_same_event() -> None:
    inbox = Inbox()
    await inbox.post(signed())
    assert (await inbox.post(signed())).status_code == 401
    again = await inbox.post(signed(at_s=NOW // 1000 + 30))
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    assert len(inbox.shelf.events) == 1


@pytest.mark.parametrize(
    ("headers", "body", "path", "status"),
    [
        ({}, b"{}", "/ci", 401),
        (signed(body=b"{"), b"{", "/ci", 400),
        (signed(), b'{"n": 2}', "/ci", 401),
        (signed(at_s=NOW // 1000 - 301), b'{"n": 1}', "/ci", 401),
        (signed(), b'{"n": 1}', "/other", 404),
        (signed(body=b"1" * 1_001), b"1" * 1_001, "/ci", 413),
    ],
)
async def test_what_is_not_as_it_must_be_is_refused(
    headers: Mapping[str, str], body: bytes, path: str, status: int
) -> None:
    inbox = Inbox()
    answer = await inbox.post(headers, body, path)
    assert (answer.status_code, inbox.shelf.events) == (status, {})
    assert (await inbox.get("/ci")).status_code == 405


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    asked = 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b" " * 100, "more_body": True}

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    app = WebhookInbox([HOOK], Shelf(), ManualClock(NOW))
    await app({"type": "http", "method": "POST", "path": "/ci", "headers": []}, receive, send)
    assert (sent[0]["status"], asked) == (413, 11)


async def test_what_did_not_become_durable_may_be_sent_again() -> None:
    inbox = Inbox()
    inbox.shelf.dies_at = 1
    assert (await inbox.post(signed())).status_code == 503
    assert (await inbox.post(signed())).status_code == 202
