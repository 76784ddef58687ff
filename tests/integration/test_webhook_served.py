"""Webhooks in over a real HTTP server, mounted into another application and read from a file of hooks."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from maestro import bootstrap
from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.errors import InvalidInput
from maestro.home import keep_private
from maestro.ids import Partition, TenantId
from maestro.mesh.webhook import sign
from maestro.settings import Settings
from tests.integration.http_support import served

NOW = 1_795_000_000_000
SECRET = "a secret that is long enough"


def settings(home: Path, told: str | None = None) -> Settings:
    keep_private(home / "secret", SECRET)
    file = home / "hooks.toml"
    file.write_text(told or f'[ci]\nsubject = "ci.builds"\nsecret_files = ["{home / "secret"}"]\nmax_bytes = 1000\n')
    return Settings(home=home, webhooks_file=file)


def signed(body: bytes, at_ms: int = NOW, id_: str = "m-1") -> dict[str, str]:
    seconds = at_ms // 1000
    signature = sign(SECRET.encode(), id_, seconds, body)
    return {"webhook-id": id_, "webhook-timestamp": str(seconds), "webhook-signature": signature}


async def test_what_a_sender_signs_is_an_event_and_what_it_does_not_is_refused_by_its_kind(tmp_path: Path) -> None:
    backend = MemoryBackend(1, ManualClock(NOW), TenantId("default"))
    inbox = bootstrap.open_webhooks(settings(tmp_path), backend)
    body, late = b'{"n": 1}', NOW - 301_000
    async with served(Starlette(routes=inbox.routes())) as url, httpx.AsyncClient(base_url=url) as client:

        async def post(headers: dict[str, str], content: bytes = body, path: str = "/webhooks/ci") -> tuple[int, str]:
            answer = await client.post(path, content=content, headers=headers)
            return answer.status_code, answer.json().get("code", "")

        async def endless() -> None:
            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(10_000):
                    yield b" " * 1_000

            assert (await client.post("/webhooks/ci", content=pieces(), headers=signed(body))).status_code == 413

        assert await post(signed(body)) == (202, "")
        assert await post(signed(body)) == (401, "webhook_refused"), "a replay"
        assert await post(signed(body, NOW + 20_000)) == (202, ""), "the sender's second try"
        assert await post(signed(body, late, "m-2")) == (401, "webhook_refused")
        assert await post(signed(b"{}", id_="m-3")) == (401, "webhook_refused")
        assert await post({}) == (401, "webhook_refused")
        assert await post(signed(b"no JSON", id_="m-4"), b"no JSON") == (400, "invalid_input")
        assert await post(signed(b" " * 1_001, id_="m-5"), b" " * 1_001) == (413, "too_large")
        assert await post(signed(body, id_="m-6"), path="/webhooks/other") == (404, "not_found")
        assert (await client.get("/webhooks/ci")).status_code == 405
        await endless()
    assert (await backend.records.counts(Partition(0)))["published"] == 1


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ("[ci", "webhooks_file"),
        ("ci = 1", "webhooks_file"),
        ('[ci]\nsubject = "ci.builds"\nsecret_files = []', "webhooks_file"),
        ('[ci]\nsubject = "ci.builds"\nsecret_files = ["/nowhere/at/all"]', "/nowhere/at/all"),
        ('[ci]\nsubject = "ci.builds"\nsecret = "in clear text"\nsecret_files = ["x"]', "webhooks_file"),
    ],
)
async def test_a_file_of_hooks_that_is_not_good_is_refused_by_name(tmp_path: Path, told: str, what: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        bootstrap.open_webhooks(settings(tmp_path, told), MemoryBackend(1))
    assert caught.value.field == what
