"""The real API on a real server: uvicorn on a port of its own, over a store of either adapter; and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import httpx
import uvicorn

from maestro.gateway.access import Doorkeeper
from maestro.gateway.app import Terms, inner
from maestro.gateway.door import Door
from maestro.gateway.gate import Gate
from maestro.gateway.pace import Pace
from maestro.gateway.shapes import Role
from maestro.runtime.backend import Backend
from tests.pane_stage import Swarm

WITHIN_S = 20.0
PATIENT = Pace(per_second=100_000, at_once=100_000)
T = TypeVar("T")


@dataclass
class House:
    """An API that is being served, and the swarm behind it."""

    url: str
    gate: Gate
    swarm: Swarm
    doorkeeper: Doorkeeper

    async def token(self, role: Role, **asked: Any) -> str:
        return (await self.doorkeeper.create(role, role, **asked))[1]

    @asynccontextmanager
    async def client(self, role: Role | None = "admin", **asked: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a token of that role; without a role, with none."""
        headers = {} if role is None else {"Authorization": f"Bearer {await self.token(role, **asked)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=WITHIN_S) as client:
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
