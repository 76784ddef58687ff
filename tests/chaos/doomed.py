"""A process that runs one host and dies at a port call of its choice: `live` is its whole life.

Every call of a port of the tick is counted, and told to the parent before it is made. The pager lives in the parent, on
the other end of a socket, and survives.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from maestro.adapters.redis.backend import open_backend
from maestro.continuation.checkpoint import digest
from maestro.errors import StoreUnavailable
from maestro.ids import HolderId, TenantId
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.reply import Reply
from maestro.pager.request import ModelRequest
from maestro.policy.question import PolicyConfig
from maestro.runtime import host as host_module
from maestro.runtime.host import Host, HostSettings
from maestro.tick.behaviour import Repertoire
from maestro.tick.blocks import Keeper
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import Surroundings
from maestro.tick.store import Commit
from tests.chaos.family import DOOMED, Everything, Kid
from tests.stage import LEASE_MS, PRICES, SEAL

Moment = Literal["before", "after"]
Victim = Literal["self", "redis", "reply", "stopped"]


@dataclass(frozen=True, slots=True)
class Doom:
    """Where a process works, and at which port call what dies."""

    url: str
    tenant: str
    parent: Path
    holder: str
    call: int = -1
    moment: Moment = "before"
    victim: Victim = "self"


async def tell(parent: Path, **words: Any) -> Any:
    """The parent's answer."""
    reader, writer = await asyncio.open_unix_connection(str(parent))
    writer.write(orjson.dumps(words) + b"\n")
    await writer.drain()
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return orjson.loads(answer)


class Fate:
    """Counts port calls, and strikes at one."""

    def __init__(self, doom: Doom) -> None:
        self._doom = doom
        self._calls = itertools.count()

    def over(self, port: object, name: str) -> Any:
        """`port`, each of its calls counted."""
        return _Counted(port, name, self)

    async def call(self, name: str, made: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        number = next(self._calls)
        await tell(self._doom.parent, op="seen", name=name)
        await self._strike(number, "before")
        reply = await made(*arguments, **named)
        if name == "store.commit":
            commit: Commit = arguments[0]
            await tell(self._doom.parent, op="acknowledged", cid=commit.cid, rev=commit.rev, hash=digest(commit.record))
        await self._strike(number, "after")
        return reply

    async def _strike(self, number: int, moment: Moment) -> None:
        if (number, moment) != (self._doom.call, self._doom.moment):
            return
        match self._doom.victim:
            case "self":
                os.kill(os.getpid(), signal.SIGKILL)
            case "redis":
                await tell(self._doom.parent, op="kill redis")
            case "reply":
                raise StoreUnavailable("the reply was lost")
            case "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)


class _Counted:
    def __init__(self, port: object, name: str, fate: Fate) -> None:
        self._port, self._name, self._fate = port, name, fate

    def __getattr__(self, method: str) -> Any:
        made = getattr(self._port, method)

        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._fate.call(f"{self._name}.{method}", made, arguments, named)

        return call


class ParentsPager:
    """maestro.tick.mind.Pager in the parent; the lease is renewed with each call, so that dying there is tried too."""

    def __init__(self, parent: Path, renew: Callable[[], Any]) -> None:
        self._parent = parent
        self._renew = renew

    async def call(self, request: ModelRequest) -> ModelCallResult:
        await self._renew()
        answer = await tell(self._parent, op="call", request=request.model_dump(mode="json"))
        return Reply.model_validate(answer).opened()


class OneLook:
    """Signals for a process that ends when nothing is ready."""

    def __init__(self) -> None:
        self.host: Host | None = None

    async def wait(self, name: str, timeout_ms: int, *others: str) -> bool:
        assert self.host is not None
        self.host.stop()
        return False

    async def rouse(self, name: str) -> None:
        raise AssertionError("a host rouses nobody")


def live(doom: Doom) -> None:
    """Ticks what is ready until nothing is, or until its fate strikes."""
    host_module.COMMIT_RETRY_S = host_module.STORE_RETRY_S = 0.02
    asyncio.run(_live(doom))


async def _live(doom: Doom) -> None:
    backend = await open_backend(doom.url, TenantId(doom.tenant), virtual=True)
    fate, signals = Fate(doom), OneLook()
    store: Any = fate.over(backend.store, "store")
    pager = fate.over(ParentsPager(doom.parent, lambda: store.renew(HolderId(doom.holder), LEASE_MS)), "pager")
    faculties = Faculties(
        fate.over(backend.shelf, "shelf"),
        pager,
        PRICES,
        PolicyConfig(advisor_enabled=False),
        Keeper(fate.over(backend.blocks, "blocks")),
    )
    around = Surroundings(
        store=store,
        seal=SEAL,
        tenant=backend.tenant,
        repertoire=Repertoire([Everything, Kid]),
        make_mind=lambda adopted, before, journal, inbox: ThinkingMind(faculties, adopted, before, journal, inbox),
    )
    host = Host(HostSettings(DOOMED, HolderId(doom.holder), 1, lease_ms=LEASE_MS), around, signals)
    signals.host = host
    await host.serve()
    await tell(doom.parent, op="over", fenced=host.fenced)
    await backend.close()
