"""The ground that `maestro up` starts: Ray, its nodes and the whole tree, on a store of the run's own behind a proxy.

Invariants: moved by the command line as people move it; met by pids alone; what the machine's own watchdog brings back
is waited for first, and only then asked for again.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from maestro.bootstrap import install
from maestro.chaos.catalogue import Victims, Wound
from maestro.chaos.ground import PURSE
from maestro.chaos.proxy import Proxy
from maestro.chaos.store_child import StoreChild
from maestro.errors import ClusterError
from maestro.home import keep_private, private_folder, short_folder
from maestro.policy.gradient import Tier
from maestro.runtime.verbs import Installation
from maestro.settings import Settings

CLUSTER_MARK = "MAESTRO_CLUSTER"
"""As `actors.processes` marks the processes of one cluster."""
COMMAND_S = 300.0
BACK_S = 60.0  # so long the watchdog may take
LOOK_S = 0.5
KINDS: dict[str, tuple[str, ...]] = {
    "host": ("ray::ContinuationActor",),
    "loops": ("ray::LoopActor",),
    "supervisor": ("ray::Supervisor",),
    "root": ("ray::RootSupervisor",),
    "gcs": ("gcs_server",),
    "raylet": ("raylet",),
}
"""What their titles begin with."""
NEEDED = ("gcs", "root", "loops", "host")


@dataclass(eq=False, slots=True)
class ClusterGround:
    """A store, and an installation on Ray that knows it by its proxy."""

    folder: Path
    provider: str = ""
    nodes: int = 3
    pool_size: int = 3
    lease_ms: int = 3_000
    store: StoreChild = field(init=False)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _proxy: Proxy | None = None

    name = "cluster"
    resumes_within_s = 60.0

    async def __aenter__(self) -> Self:
        private_folder(self.home)
        keep_private(self.home / "mac.key", secrets.token_hex(32))
        keep_private(self.folder / "provider.key", "no secret")
        self.store = StoreChild(self.folder / "store")
        await self.store.start()
        self._proxy = await self._stack.enter_async_context(Proxy(f"unix:{self.store.socket}"))
        try:
            await self.up()
        except BaseException:
            await self.close()  # nobody leaves what was not entered
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing of it runs."""
        try:
            with contextlib.suppress(ClusterError):
                await self._maestro("down")
        finally:
            for process in self._ours():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            await self.store.kill()
            await self._stack.aclose()
            shutil.rmtree(short_folder(self.home, "mr"), ignore_errors=True)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def url(self) -> str:
        assert self._proxy is not None  # noqa: S101 - it was entered
        return f"redis://127.0.0.1:{self._proxy.port}/0"

    async def up(self) -> None:
        """What is missing was started."""
        await self._maestro("up", "--accept-holds")

    async def client(self) -> Installation:
        settings = Settings.load(home=self.home, redis_url=self.url)
        at = await install(settings)
        return Installation(at.backend, at.seal, PURSE)

    def pids(self, victims: Victims) -> Sequence[int]:
        if victims == "store":
            return [self.store.pid] if self.store.pid is not None else []
        wanted = KINDS.get(victims, ())
        found = [each.pid for each in self._ours() if victims == "everything" or _title(each).startswith(wanted)]
        return sorted(found)

    def proxies(self, victims: Victims, number: int) -> Sequence[Proxy]:
        return [self._proxy] if self._proxy is not None else []

    def pagers(self, wound: Wound) -> int:
        """There is one, in a process of its own; a lost node may have had it."""
        return int(wound.act in ("kill", "kill_all") and wound.victims in ("raylet", "gcs", "everything"))

    async def restore(self) -> None:
        await self.store.start()
        loop = asyncio.get_running_loop()
        until = loop.time() + (BACK_S if self._ours() else 0.0)  # with its watchdog dead, nobody would
        while self.missing() and loop.time() < until:  # noqa: ASYNC110 - processes ring no bell
            await asyncio.sleep(LOOK_S)
        if self.missing():
            await self.up()

    async def double(self, on: bool) -> None:
        """On a cluster the tree itself sees to it that there is one of each."""

    def strays(self) -> Sequence[str]:
        """Workers, and what they began, above whom no raylet lives."""
        found = []
        for process in self._ours():
            with contextlib.suppress(psutil.Error):
                title = _title(process)
                if title.startswith("ray::") and not any(_title(each) == "raylet" for each in process.parents()):
                    found.append(f"{title} {process.pid}")
        return found

    def missing(self) -> Sequence[str]:
        titles = [_title(process) for process in self._ours()]
        lacking = [kind for kind in NEEDED if not any(title.startswith(KINDS[kind]) for title in titles)]
        raylets = sum(title.startswith(KINDS["raylet"]) for title in titles)
        return [*lacking, *([f"{self.nodes - raylets} raylets"] if raylets < self.nodes else [])]

    def _ours(self) -> list[psutil.Process]:
        """Every living process of this cluster: by its mark or home, or by the session of its head."""
        mark, sessions = str(short_folder(self.home, "mr") / "r"), self._sessions()
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                told = process.environ()
                marked = told.get(CLUSTER_MARK) == mark or told.get("MAESTRO_HOME") == str(self.home)
                if marked or os.getsid(process.pid) in sessions:
                    found[process.pid] = process
        return list(found.values())

    def _sessions(self) -> set[int]:
        record = self.home / "ray" / "head.json"
        with contextlib.suppress(OSError, ValueError, KeyError):
            return {int(json.loads(record.read_text())["session"])}
        return set()

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MAESTRO_", "RAY_"))}
        return {
            **inherited,
            "MAESTRO_HOME": str(self.home),
            "MAESTRO_REDIS_URL": self.url,
            "MAESTRO_DASHBOARD_PORT": "0",
            "MAESTRO_PANE": "off",
            "MAESTRO_BEHAVIOURS": "maestro.chaos.workload",
            "MAESTRO_LEASE_MS": str(self.lease_ms),
            "MAESTRO_POOL_SIZE": str(self.pool_size),
            "MAESTRO_LOCAL_NODES": str(self.nodes),
            "MAESTRO_TICK_DEADLINE_MS": "30000",
            **{name: text for tier in Tier for name, text in self._target(f"MAESTRO_TIER_{tier.upper()}").items()},
        }

    def _target(self, variable: str) -> Mapping[str, str]:
        """Every tier has a price, or the kernel decides nothing."""
        return {
            variable: "openai/fake",
            f"{variable}_API_BASE": self.provider,
            f"{variable}_API_KEY_FILE": str(self.folder / "provider.key"),
            f"{variable}_PRICE": "1/5",
        }

    async def _maestro(self, *words: str) -> None:
        """The command succeeded.

        Raises:
            ClusterError: it did not; what it said.
        """
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("maestro")), *words, "-o", "json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=dict(self._environment()),
        )  # fmt: skip
        try:
            async with asyncio.timeout(COMMAND_S):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ClusterError(
                f"`maestro {words[0]}` took longer than {COMMAND_S:.0f} s", hint="look at its logs"
            ) from None
        if process.returncode:
            told = said.decode(errors="replace")[-600:]
            raise ClusterError(f"`maestro {words[0]}` failed: {told}", hint=f"see {self.home / 'logs'}")


def _title(process: psutil.Process) -> str:
    """What the process calls itself, without folders; nothing for one that has ended."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return words[0].rpartition("/")[2] if words and not words[0].startswith("ray::") else "".join(words[:1])
