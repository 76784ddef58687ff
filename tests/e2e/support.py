"""One installation of a test's own: moved as people move it, by the command line; looked at through the client.

Invariants: nothing of it outlives the `with` block, whatever happened in it; no other Ray and no other Redis is met.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from actors import cluster, keeping
from actors.joining import forget_token
from actors.local_ray import Place
from actors.processes import find, lives
from maestro.adapters.redis import server
from maestro.bootstrap import install
from maestro.budget.ledger import Ledger
from maestro.client import ContinuationHandle, Maestro, run_sync
from maestro.errors import StoreUnavailable
from maestro.home import short_folder
from maestro.ids import ContinuationId, Partition
from maestro.mesh.source import SourceRecord
from maestro.runtime import verbs
from maestro.settings import Settings
from maestro.tick.records import Glance

ROOT_FOLDER = Path(__file__).parents[2]
COMMAND_S = float(os.environ.get("COMMAND_S", "240"))  # a machine that is shared may need more
WITHIN_S = 90.0
THE_PARTITION = Partition(0)
RAY_AT_FIRST = {name: text for name, text in os.environ.items() if name.startswith("RAY_")}
T = TypeVar("T")


class Site:
    """One installation, in a folder of its own."""

    def __init__(self, home: Path, **given: object) -> None:
        self.settings = Settings.load(home=home, clock="virtual", dashboard_port=0, **given)
        told = {f"MAESTRO_{name.upper()}": str(value) for name, value in given.items()}
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MAESTRO_", "RAY_"))}
        self.environment: Mapping[str, str] = {
            **inherited,
            "MAESTRO_HOME": str(home),
            "MAESTRO_CLOCK": "virtual",
            "MAESTRO_DASHBOARD_PORT": "0",
            "MAESTRO_PANE": "off",  # nobody looks, and Serve takes its time
            **told,
        }
        self._client: Maestro | None = None

    # ------------------------------------------------------------ as people move it

    def run(self, *words: str) -> str:
        """What the command line printed; it succeeded."""
        return self._ran(Path(sys.executable).with_name("maestro"), *words)

    def tell(self, *words: str) -> Any:
        """The JSON answer of the command line."""
        return json.loads(self.run(*words, "-o", "json"))

    def python(self, program: str, *arguments: str) -> Any:
        """The JSON that a program of its own process printed last, behind what Ray warns every driver of."""
        return json.loads(self._ran(Path(sys.executable), "-c", program, *arguments).splitlines()[-1])

    def up(self) -> float:
        """Seconds that `maestro up` took."""
        begun = time.monotonic()
        self.tell("up")
        return time.monotonic() - begun

    def down(self) -> float:
        """Seconds that `maestro down` took."""
        begun = time.monotonic()
        self.leave()
        self.tell("down")
        return time.monotonic() - begun

    def start(self, behaviour: str, *words: str, name: str) -> ContinuationHandle:
        """A root of that name."""
        self.tell("start", behaviour, "--name", name, *words)
        return self.client.get(name)

    def _ran(self, program: Path, *words: str) -> str:
        ran = subprocess.run(
            [program, *words],
            cwd=ROOT_FOLDER,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert ran.returncode == 0, f"{words[:2]}: {ran.returncode}: {ran.stderr[-2000:]}"
        return ran.stdout

    # ------------------------------------------------------------ as the store knows it

    @property
    def client(self) -> Maestro:
        if self._client is None:
            self._client = Maestro(run_sync(install(self.settings)))
        return self._client

    def glance(self, handle: ContinuationHandle) -> Glance:
        return run_sync(verbs.glance_of(self.client.installation, handle.id))

    def ledger(self, cid: str) -> Ledger:
        return run_sync(verbs.glance_of(self.client.installation, ContinuationId(cid))).ledger

    def counts(self) -> Mapping[str, int]:
        return run_sync(self.client.installation.backend.records.counts(THE_PARTITION))

    def source(self, name: str) -> SourceRecord | None:
        return run_sync(self.client.installation.backend.sources.load(name))

    def is_quiet(self) -> bool:
        """Nothing is ready, held, on its way or to be repeated."""
        counts = self.counts()
        busy = ("projections", "outbox", *(name for name in counts if name.startswith("ready:")))
        if counts["timers"] > counts["waiting"]:  # each that waits for a person has one timer: that of its patience
            return False
        return not any(counts[name] for name in busy) and not any(glance.holder for glance in self.glances())

    def glances(self) -> list[Glance]:
        """Every continuation, in one look."""

        async def look() -> list[Glance]:
            at = self.client.installation
            return [await verbs.glance_of(at, cid) for cid in await at.backend.records.ids(THE_PARTITION)]

        return run_sync(look())

    def state(self, name: str) -> Any:
        """What its behaviour knows."""
        return self.client.get(name).status()["state"]

    def advance(self, by_ms: int) -> None:
        run_sync(self.client.installation.backend.steering.advance(by_ms))

    def now_ms(self) -> int:
        return run_sync(self.client.installation.backend.clock.now_ms())

    # ------------------------------------------------------------ as the machine knows it

    def actors(self, prefix: str = "") -> dict[str, psutil.Process]:
        """Supervised actors by id, those whose id begins with `prefix`."""
        found: dict[str, psutil.Process] = {}
        todo = [self.tell("status")["supervisors"]]
        while todo:
            node = todo.pop()
            todo += node.get("children", [])
            if node["id"].startswith(prefix) and node["pid"]:
                with suppress(psutil.NoSuchProcess):  # it may end while the tree is being told
                    found[node["id"]] = psutil.Process(node["pid"])
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything of Ray that is ours and lives."""
        return list(find(Place.of(self.settings).signs()))

    def kill_ray(self) -> int:
        """Every process of Ray got kill -9; returns how many."""
        killed = self.processes()
        for process in killed:
            process.kill()
        eventually(lambda: any(map(lives, killed)), lambda left: not left)
        return len(killed)

    def kill_redis(self) -> None:
        """The embedded server got kill -9."""
        info = server.running(self.settings.home)
        assert info is not None
        self.leave()
        os.kill(info.pid, signal.SIGKILL)
        eventually(lambda: psutil.pid_exists(info.pid), lambda there: not there)

    def traces(self) -> list[str]:
        """Living processes that name our home or our temp folder, found otherwise than the code under test does."""
        ours = (str(self.settings.home), str(Place.of(self.settings).temp_dir))
        found = []
        for process in psutil.process_iter():
            try:
                said = " ".join([*process.cmdline(), *process.environ().values()])
                if lives(process) and any(place in said for place in ours):
                    found.append(f"{process.pid} {process.name()}")
            except psutil.Error:
                continue
        return found

    def close(self) -> None:
        """Nothing of it lives and nothing of it lies about."""
        self.leave()
        keeping.kill(self.settings.home)
        cluster.kill(self.settings)
        try:
            server.purge(self.settings.home)
        except StoreUnavailable:
            self.kill_redis()
            server.purge(self.settings.home)
        shutil.rmtree(short_folder(self.settings.home, "mr"), ignore_errors=True)

    def leave(self) -> None:
        """The client that looked here is closed: it would be a trace, and would meet a store that is gone."""
        if self._client is not None:
            self._client.close()
            self._client = None


@contextmanager
def site(**given: object) -> Iterator[Site]:
    """An installation that is not up yet, in a folder with a short name."""
    folder = Path(tempfile.mkdtemp(prefix="me", dir="/tmp"))
    made = Site(folder / "home", **given)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def no_token_of_another() -> Iterator[None]:
    """Who joined a cluster of ours carries its token; a Ray that a later module starts in this process has none.

    What the session began with is the measure, not the module: a session's installation joins before its first module.
    """
    yield
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    os.environ.update(RAY_AT_FIRST)
    forget_token()


def eventually(
    look: Callable[[], T], enough: Callable[[T], object], within_s: float = WITHIN_S, every_s: float = 0.05
) -> T:
    """What `look` saw as soon as it was enough."""
    deadline = time.monotonic() + within_s
    while not enough(seen := look()):
        assert time.monotonic() < deadline, f"still not so after {within_s} s: {seen}"
        time.sleep(every_s)
    return seen


def at_rest(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Of each row of `list` what must be the same before and after."""
    kept = ("name", "behaviour", "activity", "rev", "goal", "reason")
    return {row["id"]: tuple(row[key] for key in kept) for row in rows}
