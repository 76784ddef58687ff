"""What a run wounds: the port, and the ground of plain processes.

    bare       hosts and loops as plain processes, each behind a proxy of its own: where Ray is not the point
    cluster    what `maestro up` started (cluster.py): where it is

Invariants: a ground knows every process that should run, starts again what does not, and leaves none behind.
"""

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import psutil

from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.chaos.body import Role
from maestro.chaos.catalogue import Victims, Wound
from maestro.chaos.proxy import Proxy
from maestro.chaos.store_child import StoreChild
from maestro.continuation.envelope import Seal
from maestro.errors import StoreUnavailable
from maestro.ids import TenantId
from maestro.runtime.verbs import Installation

MARK = "MAESTRO_CHAOS"
"""Variable in the environment of each process that a run starts; its value is the run's folder."""
PURSE = BudgetVector({"usd": 1_000_000_000, "tokens": 1_000_000_000})
RESTART_S = 0.2
LOOK_S = 0.1
END_S = 10.0


class Ground(Protocol):
    """Where a run takes place."""

    @property
    def name(self) -> str: ...

    @property
    def store(self) -> StoreChild: ...

    @property
    def resumes_within_s(self) -> float:
        """How soon after a heal there must be a tick."""
        ...

    async def client(self) -> Installation:
        """An open store as the client reaches it: through a proxy, like everybody."""
        ...

    def pids(self, victims: Victims) -> Sequence[int]:
        """Living processes of that kind, in a stable order."""
        ...

    def proxies(self, victims: Victims, number: int) -> Sequence[Proxy]:
        """The network before one process, or before all."""
        ...

    def pagers(self, wound: Wound) -> int:
        """How many processes with a pager that wound will end."""
        ...

    async def restore(self) -> None:
        """Whatever should run does again."""
        ...

    async def double(self, on: bool) -> None:
        """There are two of each loop, or one again."""
        ...

    def strays(self) -> Sequence[str]:
        """Processes that live and should not."""
        ...

    def missing(self) -> Sequence[str]:
        """What should run and does not."""
        ...


@dataclass(eq=False, slots=True)
class _Body:
    """One place of the ground, and the process that fills it now."""

    name: str
    role: Role
    proxy: Proxy
    process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        alive = self.process is not None and self.process.returncode is None
        return self.process.pid if alive and self.process is not None else None


@dataclass(eq=False, slots=True)
class BareGround:
    """A store, hosts and loops, each a plain process."""

    folder: Path
    hosts: int = 2
    provider: str = ""
    preload: str = ""
    durable: bool = True
    lease_ms: int = 2_000
    store: StoreChild = field(init=False)
    _key: str = field(default_factory=lambda: secrets.token_hex(32))
    _bodies: list[_Body] = field(default_factory=list)
    _incarnations: "itertools.count[int]" = field(default_factory=itertools.count)
    _keeping: "asyncio.Task[None] | None" = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _client_proxy: Proxy | None = None

    name = "bare"
    resumes_within_s = 15.0

    async def __aenter__(self) -> Self:
        self.store = StoreChild(self.folder / "store", durable=self.durable)
        await self.store.start()
        self._client_proxy = await self._proxy()
        places = [*(f"host-{n}" for n in range(self.hosts)), "loops-0"]
        for place in places:
            await self._add(place)
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()  # nobody is cancelled who is beginning a process: it would be nobody's
        if self._keeping is not None:
            await asyncio.gather(self._keeping, return_exceptions=True)
        for body in self._bodies:
            await _ended(body)
        self.store.signal(signal.SIGCONT)
        await self.store.kill()
        await self._stack.aclose()

    @property
    def key(self) -> str:
        return self._key

    async def client(self) -> Installation:
        assert self._client_proxy is not None  # noqa: S101 - it was entered
        backend = await open_backend(_url(self._client_proxy), TenantId("chaos"))
        return Installation(backend, Seal(self._key.encode()), PURSE)

    def pids(self, victims: Victims) -> Sequence[int]:
        kinds = {"host": ("host",), "loops": ("loops",), "everything": ("host", "loops")}.get(victims, ())
        found = [body.pid for body in self._bodies if body.role.kind in kinds]
        store = [self.store.pid] if victims in ("everything", "store") else []
        return [pid for pid in (*found, *store) if pid is not None]

    def proxies(self, victims: Victims, number: int) -> Sequence[Proxy]:
        if victims == "one":
            return [self._bodies[number % len(self._bodies)].proxy]
        assert self._client_proxy is not None  # noqa: S101 - it was entered
        return [self._client_proxy, *(body.proxy for body in self._bodies)]

    def pagers(self, wound: Wound) -> int:
        """Each host has its own."""
        ends = wound.act in ("kill", "kill_all") and wound.victims in ("host", "everything")
        return len(self.pids("host")) if ends else 0

    async def restore(self) -> None:
        await self.store.start()

    async def double(self, on: bool) -> None:
        if on:
            await self._add("loops-1")
        else:
            body = next(each for each in self._bodies if each.name == "loops-1")
            self._bodies.remove(body)
            await _ended(body)

    def strays(self) -> Sequence[str]:
        """Processes with our mark that descend from none that should run."""
        ours = {os.getpid(), *self.pids("everything")}
        return [
            f"{process.name()} {process.pid}" for process in marked(str(self.folder)) if not _descends(process, ours)
        ]

    def missing(self) -> Sequence[str]:
        return [body.name for body in self._bodies if body.pid is None]

    async def _proxy(self) -> Proxy:
        return await self._stack.enter_async_context(Proxy(f"unix:{self.store.socket}"))

    async def _add(self, name: str) -> None:
        proxy = await self._proxy()
        role = Role(
            kind="host" if name.startswith("host") else "loops",
            url=_url(proxy),
            tenant="chaos",
            key=self._key,
            holder=name,
            lease_ms=self.lease_ms,
            provider=self.provider,
            preload=self.preload,
        )
        body = _Body(name, role, proxy)
        self._bodies.append(body)
        await self._start(body)

    async def _start(self, body: _Body) -> None:
        role = body.role.model_copy(update={"holder": f"{body.name}#{next(self._incarnations)}"})
        with (self.folder / f"{body.name}.log").open("ab") as log:
            body.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "maestro.chaos.body",
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, MARK: str(self.folder)},
            )  # fmt: skip
        assert body.process.stdin is not None  # noqa: S101 - it was begun with a pipe
        body.process.stdin.write(role.model_dump_json().encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await body.process.stdin.drain()

    async def _keep(self) -> None:
        """A body that ended is started again, a moment later and under another name."""
        while not self._over.is_set():
            for body in tuple(self._bodies):
                if body.pid is None:
                    await asyncio.sleep(RESTART_S)
                    await self._start(body)
            await asyncio.sleep(LOOK_S)


async def _ended(body: _Body) -> None:
    """Its process is gone, and collected."""
    if body.process is None:
        return
    if body.process.stdin is not None:
        body.process.stdin.close()  # it ends with its parent, and its tools with it
    with contextlib.suppress(ProcessLookupError):
        body.process.send_signal(signal.SIGCONT)
    try:
        async with asyncio.timeout(END_S):
            await body.process.wait()
    except TimeoutError:
        body.process.kill()
        await body.process.wait()


def _url(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


def marked(folder: str) -> list[psutil.Process]:
    """Living processes whose environment carries this run's mark; a zombie does not live."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _descends(process: psutil.Process, ours: set[int]) -> bool:
    try:
        return process.pid in ours or any(parent.pid in ours for parent in process.parents())
    except psutil.Error:
        return True  # it ended meanwhile


async def reached(ground: Ground, patience_s: float = 30.0) -> Installation:
    """The store as the client reaches it, once it does.

    Raises:
        StoreUnavailable: it never answered.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while True:
        try:
            return await ground.client()
        except StoreUnavailable:
            if loop.time() > until:
                raise
            await asyncio.sleep(LOOK_S)
