"""The guarded web against servers and names that do their worst."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from maestro.adapters.web.client import GuardedWeb
from maestro.errors import EgressRefused, WebError
from maestro.mesh.egress import Egress
from maestro.mesh.web import Answer, WebLimits
from tests.integration.feed_support import answering, head, serving

LIMITS = WebLimits(deadline_ms=10_000, max_bytes=100_000)


class Names:
    """A resolver that answers as it is told, one answer after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def get(url: str, allow: Sequence[str] = (), names: Names | None = None, *, named: bool = False) -> Answer:
    web = GuardedWeb(Egress.parse(allow), names or Names(["127.0.0.1"]))
    try:
        return await web.get(url, {}, LIMITS, named=named)
    finally:
        await web.close()


async def test_what_an_operator_allowed_is_called_under_its_name() -> None:
    seen: list[bytes] = []

    async def script(request: bytes) -> AsyncIterator[bytes]:
        seen.append(request)
        yield head("Content-Length: 2") + b"ok"

    async with serving(script) as url:
        port = urlsplit(url).port
        answer = await get(f"http://wiki.corp:{port}/x", [f"wiki.corp:{port}"])
    assert (answer.status, answer.body) == (200, b"ok")
    assert f"Host: wiki.corp:{port}\r\n".encode() in seen[0]


@pytest.mark.shows("5.5")
async def test_an_inner_address_is_never_connected_to() -> None:
    connected: list[bytes] = []

    async def script(request: bytes) -> AsyncIterator[bytes]:
        connected.append(request)
        yield head("Content-Length: 0")

    async with serving(script) as url:
        with pytest.raises(EgressRefused):
            await get(url)
    assert connected == []


@pytest.mark.shows("5.5")
async def test_a_name_that_answers_otherwise_a_moment_later_gains_nothing() -> None:
    """Judged and connected to is one answer of the resolver: it is asked once."""
    names = Names(["192.0.2.1"], ["127.0.0.1"])
    async with serving(answering(b"secret")) as url:
        with pytest.raises(EgressRefused):
            await get(f"http://rebound.example:{urlsplit(url).port}/", (), names)
    assert names.asked == ["rebound.example"]


@pytest.mark.shows("5.5")
async def test_a_name_is_asked_for_once_and_its_answer_is_where_the_call_goes() -> None:
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    async with serving(answering(b"ok")) as url:
        answer = await get(f"http://wiki.corp:{urlsplit(url).port}/", ["127.0.0.0/8"], names)
    assert answer.body == b"ok"
    assert names.asked == ["wiki.corp"]


@pytest.mark.shows("5.5")
@pytest.mark.parametrize(
    "to",
    ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://2130706433/", "http://[::1]/", "file:///etc/passwd"],
)
async def test_a_redirect_inside_is_judged_like_any_call(to: str) -> None:
    async with serving(answering(b"", f"Location: {to}", status="302 Found")) as url:
        with pytest.raises(EgressRefused):
            await get(url, named=True)


async def test_an_address_that_its_operator_wrote_is_called_and_leads_no_further() -> None:
    async with (
        serving(answering(b"inner")) as inner,
        serving(answering(b"", f"Location: {inner}", status="302 Found")) as url,
    ):
        assert (await get(inner, named=True)).body == b"inner"
        with pytest.raises(EgressRefused):
            await get(url, named=True)


async def test_the_next_address_is_tried_where_the_first_is_not_there() -> None:
    async with serving(answering(b"ok")) as url:
        port = urlsplit(url).port
        assert (await get(f"http://wiki.corp:{port}/", ["wiki.corp"], Names(["127.0.0.2", "127.0.0.1"]))).body == b"ok"


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(answering(b"ok")) as url:
        assert (await get(url, named=True)).body == b"ok"


async def test_a_name_that_nobody_knows_is_told_as_that() -> None:
    web = GuardedWeb()
    with pytest.raises(WebError) as caught:
        await web.get("http://no-such-host.invalid/", {}, LIMITS)
    await web.close()
    assert caught.value.facts["reason"] == "dns"


async def test_an_answer_of_a_thousand_headers_is_refused() -> None:
    many = [f"X-{n}: y" for n in range(300)]
    async with serving(answering(b"", *many)) as url:
        with pytest.raises(WebError):
            await get(url, named=True)


async def test_the_certificate_must_name_the_host_that_was_asked_for(tmp_path: Path) -> None:
    """The address is pinned, and the handshake carries the name: seen by a server that writes down the SNI."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(tmp_path))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=context, family=socket.AF_INET)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(WebError) as caught:
            await get(f"https://wiki.corp:{port}/", ["wiki.corp"])
    assert asked == ["wiki.corp"]
    assert caught.value.facts["reason"] == "tls"


def _certificate(folder: Path) -> tuple[str, str]:
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=wiki.corp",
         "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(chain), str(key)
