"""Canaries in the place of every secret that an installation holds; then each place where one could show is searched.

The installation is real: a Redis with a password, settings from the environment and from files, the command line in
this process, a tool worker of its own. What Ray would run is not here: actors get `to_json`, which is searched.
"""

import asyncio
import base64
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import orjson
import psutil
import pytest
import redis
import structlog

from maestro import telemetry
from maestro.adapters.redis.backend import open_backend
from maestro.adapters.redis.slots import open_wire
from maestro.adapters.sandbox.tools import ToolWorkers
from maestro.bootstrap import install
from maestro.cli.app import run
from maestro.errors import MaestroError
from maestro.ids import TenantId
from maestro.settings import Settings
from maestro.tools.calls import Order
from tests.chaos.farm import Server, farm
from tests.integration import tool_shed as shed
from tests.loopback import free_port

NAMES = ("redis", "mac", "tier", "tierfile", "notify", "mail", "gcs", "otel", "cloud")
SECRETS = {name: f'c4n4ry-{name}-"/+ %x' for name in NAMES}
"""What marks it survives every quoting; the rest is what a quoting would change."""
MARKS = [f"c4n4ry-{name}" for name in NAMES]


@dataclass
class House:
    """An installation full of secrets."""

    home: Path
    server: Server
    capture: pytest.CaptureFixture[str]

    def says(self, *words: str) -> str:
        """All that a command line writes."""
        run(words)
        return "".join(self.capture.readouterr())

    @property
    def cid(self) -> str:
        return str(orjson.loads(self.says("list", "-o", "json"))[0]["id"])

    @property
    def url(self) -> str:
        return Settings.load().store_url() or ""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with farm() as made:
        acl = made.folder / "acl"
        acl.write_text(f"user default on #{_digest(SECRETS['redis'])} ~* &* +@all -flushall -flushdb\n")
        server = Server(free_port(), made.folder / "server", made.binary, (f"aclfile {acl}",))
        made.servers.append(server)
        server.start(answers=redis.exceptions.AuthenticationError)
        yield server


@pytest.fixture
def house(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[House]:
    files = {name: tmp_path / name for name in ("tierfile", "notify", "mail", "gcs", "otel")}
    for name, file in files.items():
        file.write_text(f"authorization={SECRETS[name]}\n" if name == "otel" else SECRETS[name])
        file.chmod(0o600)
    for name, value in {
        "HOME": str(tmp_path / "home"), "REDIS_URL": f"redis://127.0.0.1:{server.port}/0",
        "REDIS_PASSWORD": SECRETS["redis"], "MAC_KEY": SECRETS["mac"], "TIER_HAIKU": "openai/gpt-4o-mini",
        "TIER_HAIKU_API_KEY": SECRETS["tier"], "TIER_OPUS": "anthropic/claude-opus-4-1",
        "TIER_OPUS_API_KEY_FILE": str(files["tierfile"]), "NOTIFY_URL": "https://example.org/told",
        "NOTIFY_PASSWORD_FILE": str(files["notify"]), "TIER_HAIKU_PRICE": "1/5", "TIER_OPUS_PRICE": "5/25",
        "MAIL_URL": "smtp://somebody@127.0.0.1:1", "MAIL_PASSWORD_FILE": str(files["mail"]),
        "GCS_REDIS_URL": "redis://127.0.0.1:1/0", "GCS_REDIS_PASSWORD_FILE": str(files["gcs"]),
        "OTEL_HEADERS_FILE": str(files["otel"]),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"MAESTRO_{name}", value)
    monkeypatch.setenv("OPENAI_API_KEY", SECRETS["cloud"])
    monkeypatch.chdir(tmp_path)
    before, level = sys.excepthook, logging.getLogger().level
    made = House(tmp_path / "home", server, capfd)
    made.says("start", "counter", "--goal", "count what comes")
    made.says("send", made.cid, "hello")
    yield made
    sys.excepthook = before
    logging.getLogger().setLevel(level)


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def leaks(text: str) -> list[str]:
    """Which secrets show in a text: as they are, quoted in any way, or in base64 at any offset."""
    found = [mark for mark in MARKS if mark in text or quote(mark, safe="") in text]
    return found + [name for name, secret in SECRETS.items() if any(part in text for part in _base64(secret))]


def _base64(secret: str) -> list[str]:
    return [base64.b64encode(b" " * shift + secret.encode()).decode()[4:-4] for shift in range(3)]


async def _failing(url: str) -> str:
    try:
        await (await open_backend(url, TenantId("default"))).close()
    except MaestroError as error:
        return f"{error} {error!r} {error.hint} {error.__cause__!r} {error.__context__!r}"
    return "it opened"


def of_the_store(house: House) -> str:
    """Every key with all that is in it."""
    with redis.Redis(port=house.server.port, password=SECRETS["redis"]) as client:
        keys = list(client.scan_iter())
        assert len(keys) > 5
        return "\n".join(f"{key!r} {client.dump(key)!r}" for key in keys)


def of_the_logs(house: House) -> str:
    """What a process wrote that was told secrets in every way that a programmer has."""
    settings = Settings.load()
    telemetry.configure("canary", "debug", house.home / "logs")
    telemetry.hide(settings.secret_values())
    told = structlog.get_logger()
    for secret in (SECRETS[name] for name in NAMES if name != "cloud"):
        told.info("said", text=secret, nested={"a": [secret]}, url=f"redis://:{quote(secret, safe='')}@host")
        logging.getLogger("a.library").warning("password is %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            told.exception("failed")
    return "".join(file.read_text() for file in (house.home / "logs").iterdir()) + "".join(house.capture.readouterr())


def of_a_tool_worker(house: House) -> str:
    async def asked() -> str:
        workers = ToolWorkers(at_most=1)
        try:
            return str(await workers.run(Order(shed.environment, {}, "key")))
        finally:
            await workers.close()

    return asyncio.run(asked())


def of_reprs(house: House) -> str:
    async def shown() -> str:
        at, wire = await install(Settings.load(), "cli"), open_wire(house.url)
        try:
            return f"{at!r} {at.audit!r} {at.seal!r} {vars(at.audit) if hasattr(at.audit, '__dict__') else ''} {wire!r}"
        finally:
            await wire.close()
            await at.backend.close()

    return asyncio.run(shown())


def of_a_wrong_file(house: House) -> str:
    (house.home.parent / "maestro.toml").write_text(f"[tiers]\nhaiku_api_key = '{SECRETS['tier']}'\n")
    return house.says("list")


def of_argv(house: House) -> str:
    """Of all processes of this machine, our server and our tool workers among them."""
    return "\n".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


def of_an_export(house: House) -> str:
    file = house.home.parent / "export.jsonl"
    told = house.says("export", house.cid, str(file))
    assert file.exists(), told
    return told + file.read_text()


def of_files(house: House) -> str:
    """Every file of the home but those that hold secrets, which are this user's alone."""
    house.says("audit", "verify")
    kept = [file for file in house.home.rglob("*") if file.is_file()]
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept), "open to others"
    return "".join(file.read_text(errors="replace") for file in kept if "secrets" not in file.parts)


def _unreachable(password: str) -> str:
    return f"redis://:{password}@127.0.0.1:1/0"


Place = Callable[[House], str]
PLACES: dict[str, Place] = {
    "doctor": lambda house: house.says("doctor"),
    "doctor as JSON": lambda house: house.says("doctor", "-o", "json"),
    "status": lambda house: house.says("status"),
    "status as JSON": lambda house: house.says("status", "-o", "json"),
    "list": lambda house: house.says("list"),
    "show": lambda house: house.says("show", house.cid, "-o", "json"),
    "why": lambda house: house.says("why", house.cid),
    "log, replayed": lambda house: house.says("replay", house.cid, "-o", "json"),
    "field": lambda house: house.says("field", house.cid, "-o", "json"),
    "waits": lambda house: house.says("waits"),
    "audit": lambda house: house.says("audit", "-o", "jsonl"),
    "acl": lambda house: house.says("acl"),
    "an export": of_an_export,
    "an unreachable store": lambda house: house.says(
        "--redis-url", _unreachable(quote(SECRETS["redis"], safe="")), "list"
    ),
    "a password that was not quoted": lambda house: house.says("--redis-url", _unreachable(SECRETS["redis"]), "list"),
    "a URL that is none": lambda house: house.says("--redis-url", f"ftp://:{SECRETS['redis']}@host/0", "list"),
    "a secret where none may stand": of_a_wrong_file,
    "a failure of the adapter": lambda house: asyncio.run(_failing(house.url.replace(str(house.server.port), "1"))),
    "a wrong password": lambda house: asyncio.run(_failing(house.url.replace("c4n4ry-redis", "c4n4ry-mac"))),
    "every key of the store": of_the_store,
    "what actors are handed": lambda house: Settings.load().to_json(),
    "what settings show": lambda house: f"{Settings.load()!r} {Settings.load().shown()} {Settings.load()}",
    "reprs": of_reprs,
    "logs, of us and of libraries, with tracebacks": of_the_logs,
    "the environment of a tool worker": of_a_tool_worker,
    "command lines of processes": of_argv,
    "files of the home": of_files,
}


@pytest.mark.spec("11.16")
@pytest.mark.shows("9.6")
@pytest.mark.parametrize("place", PLACES)
def test_no_secret_shows(house: House, place: str) -> None:
    text = PLACES[place](house)
    assert text.strip(), "nothing was looked at"
    assert leaks(text) == []


def test_at_least_twenty_places_are_looked_at() -> None:
    assert len(PLACES) >= 20


@pytest.mark.parametrize("wrapped", ["{}", "a {} b", '{{"url": "redis://:{}@h"}}'])
def test_a_secret_that_shows_is_found(wrapped: str) -> None:
    for secret in SECRETS.values():
        assert leaks(wrapped.format(secret))
        assert leaks(wrapped.format(quote(secret, safe="")))
        assert leaks(wrapped.format(base64.b64encode(secret.encode()).decode()))
    assert leaks(wrapped.format("nothing")) == []


def test_secrets_are_where_they_belong(house: House) -> None:
    """What is searched for is really held: by the settings, and in private files of the home."""
    settings = Settings.load()
    assert {name for name in NAMES if any(SECRETS[name] == value for value in settings.secret_values())} == {
        "redis", "mac", "tier", "tierfile", "notify", "mail", "gcs", "otel"
    }  # fmt: skip
    settings.to_json()
    kept = [file.read_text() for file in (house.home / "secrets").iterdir()]
    assert SECRETS["redis"] in kept
    assert os.environ["OPENAI_API_KEY"] == SECRETS["cloud"]
