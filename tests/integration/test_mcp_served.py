"""Maestro's verbs over streamable HTTP: a real client with the token, and everybody else; and where clients may go."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
import httpx2
import orjson
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from maestro.adapters.mcp import bridge, guard
from maestro.adapters.mcp.guard import guarded_client
from maestro.adapters.mcp.offered import groups_of, verbs_server
from maestro.adapters.mcp.served import PATH, door, listening_at, url_of
from maestro.adapters.memory.backend import MemoryBackend
from maestro.client import Maestro
from maestro.clock import ManualClock
from maestro.errors import EgressRefused, InvalidInput
from tests.integration.feed_support import answering, serving
from tests.integration.http_support import served
from tests.stage import Stage

TOKEN = "a token of this server alone"
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
LIMITS = httpx2.Timeout(10.0)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where the verbs of an empty installation are served."""
    stage, listening = Stage(MemoryBackend(1, ManualClock(1_795_000_000_000))), listening_at("0")
    app = door(verbs_server(Maestro(stage.at), groups_of("look")), listening, TOKEN)
    async with served(app, listening) as base:
        assert url_of(listening) == base + PATH
        yield base + PATH


async def test_who_brings_the_token_uses_the_verbs(url: str) -> None:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        assert "why" in {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("list", {})
        assert orjson.loads(getattr(result.content[0], "text", "")) == {"continuations": [], "left_out": 0}


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (200, {}),
        (401, {"Authorization": ""}),
        (401, {"Authorization": "Bearer a token for somebody else"}),
        (401, {"Authorization": f"Basic {TOKEN}"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (421, {"Host": "evil.example"}),
        (421, {"Host": "127.0.0.1"}),
    ],
)
async def test_who_does_not_or_comes_from_elsewhere_is_refused(url: str, status: int, more: Mapping[str, str]) -> None:
    headers = {**HEADERS, "Authorization": f"Bearer {TOKEN}", **more}
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, headers=headers, json=HELLO)
    assert answer.status_code == status
    assert TOKEN not in answer.text
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_in_the_address_and_a_body_beyond_the_limit_are_refused(url: str) -> None:
    async with httpx.AsyncClient(headers=HEADERS) as client:
        assert (await client.post(f"{url}?token={TOKEN}", json=HELLO)).status_code == 401
        large = {**HELLO, "padding": "x" * (1 << 20)}
        answer = await client.post(url, headers={"Authorization": f"Bearer {TOKEN}"}, json=large)
        assert answer.status_code == 413


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    with listening_at("0") as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        port = listening.getsockname()[1]
        with pytest.raises(InvalidInput, match="nobody can listen"):
            listening_at(str(port))
    with listening_at("[::1]:0") as six:
        assert url_of(six).startswith("http://[::1]:")
    for wrong in ("", "localhost:0", "http://127.0.0.1:0", "70000", "-1", "1.2.3:5"):
        with pytest.raises(InvalidInput):
            listening_at(wrong)


async def test_a_client_goes_to_its_server_and_no_further() -> None:
    async with serving(answering(b"ok")) as own, serving(answering(b"inside")) as other:
        async with guarded_client(own, (), {}, LIMITS) as client:
            assert (await client.get(own)).text == "ok"
            for inside in (other, "http://169.254.169.254/latest", "http://[::1]:80/", "http://0x7f.1/"):
                with pytest.raises(EgressRefused):
                    await client.get(inside)
        async with guarded_client(own, (other.removeprefix("http://").removesuffix("/feed"),), {}, LIMITS) as opened:
            assert (await opened.get(other)).text == "inside"


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_server_by_a_name_that_leads_inside_is_not_called(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def inside(to: Any) -> Sequence[str]:
        asked.append(to.host)
        return ["127.0.0.1"]

    monkeypatch.setattr(guard, "_resolved", inside)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hello = {"transport": transport, "url": f"http://office.example:{port}/mcp", "headers": {}, "egress": []}
        with pytest.raises(BaseException) as caught:
            async with bridge._transport(hello) as way, Client(way):
                pass
        silent.settimeout(0.05)
        with pytest.raises(TimeoutError):
            silent.accept()
    assert asked == ["office.example"]
    assert "may not be called" in bridge._words(caught.value)
