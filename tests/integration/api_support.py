"""The real API on a real server: uvicorn on a port of its own, over a store of either adapter; and clients for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import httpx
import redis
import uvicorn

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.redis.backend import open_backend
from maestro.gateway.access import Doorkeeper
from maestro.gateway.app import Terms, inner
from maestro.gateway.door import Door
from maestro.gateway.gate import Gate
from maestro.gateway.pace import Pace
from maestro.gateway.shapes import Role
from maestro.ids import DEFAULT_TENANT
from maestro.runtime.backend import Backend
from tests.chaos.redis_server import OwnRedis
from tests.pane_stage import Swarm

WITHIN_S = 20.0
PATIENT = Pace(per_second=100_000, at_once=100_000)
TRUST = ssl.create_default_context()
"""Of every client: to read all certificates again for each takes longer than what most of them ask."""
T = TypeVar("T")


@dataclass
class House:
    """An API that is being served, and the swarm behind it."""

    url: str
    gate: Gate
    swarm: Swarm
    doorkeeper: Doorkeeper

    async def token(self, role: Role, name: str | None = None, **asked: Any) -> str:
        return (await self.doorkeeper.create(name or role, role, **asked))[1]

    @asynccontextmanager
    async def client(self, role: Role | None = "admin", **asked: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a token of that role; without a role, with none."""
        headers = {} if role is None else {"Authorization": f"Bearer {await self.token(role, **asked)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=WITHIN_S, verify=TRUST) as client:
            yield client

    async def moved(self) -> None:
        """Whatever can move has moved, and the API knows of it."""
        await self.swarm.stage.settle()
        await self.gate.tail.step()


@asynccontextmanager
async def house(backend: Backend, pace: Pace = PATIENT, **terms: Any) -> AsyncIterator[House]:
    """The API over `backend`, served until the end of the block."""
    swarm = Swarm(backend, None)
    app = inner(swarm.at, Terms(poll_s=0.02, **terms))
    config = uvicorn.Config(Door(app, pace=pace), "127.0.0.1", 0, log_level="error", lifespan="on", ws="none")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started or serving.done())
    port = server.servers[0].sockets[0].getsockname()[1]
    gate: Gate = app.state.gate
    await eventually(lambda: gate.directory.complete)
    try:
        yield House(f"http://127.0.0.1:{port}", gate, swarm, gate.doorkeeper)
    finally:
        server.should_exit = True
        await serving


async def eventually(look: Callable[[], T], within_s: float = WITHIN_S) -> T:
    """What `look` sees as soon as that is true."""
    deadline = monotonic() + within_s
    while not (seen := look()):
        assert monotonic() < deadline, "not within the deadline"
        await asyncio.sleep(0.01)
    return seen


@contextmanager
def one_redis() -> Iterator[str]:
    """The URL of a server for all tests of a module; what a power cut takes is shown elsewhere."""
    own = OwnRedis()
    try:
        with redis.Redis.from_url(own.url) as client:
            client.config_set("appendfsync", "no")
        yield own.url
    finally:
        own.close()


@asynccontextmanager
async def emptied(url: str | None, partitions: int = 1) -> AsyncIterator[Backend]:
    """An empty store: on that server, or in memory."""
    if url is None:
        yield MemoryBackend(partitions)
        return
    with redis.Redis.from_url(url) as client:
        client.flushall()
    backend = await open_backend(url, DEFAULT_TENANT, partitions)
    try:
        yield backend
    finally:
        await backend.close()
