"""The processes of one local Ray cluster: where its files lie, how its head is started, whether it is whole.

Not here: further nodes, and what is started again by itself (`actors.local_nodes`).
The record of a head is a hint, checked against the machine each time: after a crash its pids are dead, after a
reboot its boot is over.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

import actors
from actors.gcs_store import GcsStore
from actors.joining import ONE_MACHINE, answers, token_environment
from actors.processes import MARK, Signs, boot_id, kill_session, pid_lives
from maestro.errors import ClusterError
from maestro.home import keep_private, private_folder, private_text, short_folder
from maestro.loopback import free_port
from maestro.settings import Settings
from maestro.telemetry import LOGS

START_S = 120.0  # seen: 8 s on two idle cores, 23 s on busy ones
PROBE_S = 5.0
FIRST_NODE = "node-1"
OBJECT_STORE_BYTES = 200_000_000  # what continuations know lives in Redis; Ray's objects are calls in flight
HEALTH_CHECKS = {
    # A killed raylet is missed after 2 s instead of 15 (PROMISES R4). The patience for one answer stays long: on one
    # machine there is no other node to take over, so a raylet that is merely slow must not be given up.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "4",
}
WARM_WORKERS = {
    # Idle workers wait for the tree that is planted next, and are there for a restart afterwards.
    "RAY_idle_worker_killing_time_threshold_ms": "120000",
    "RAY_preload_python_modules": "actors.continuation,actors.supervisor",
}


@dataclass(frozen=True, slots=True)
class Head:
    """A head that was started here: its address and its processes."""

    address: str
    dashboard: str
    pids: Mapping[str, int]
    session: int
    boot: str
    namespace: str | None = None
    """Below which its control store keeps its state in Redis; None where it keeps it in memory."""
    control: tuple[str, ...] = ()
    """The command of its control store, by which it is started again where its state outlives it."""

    def is_whole(self, among_several: bool = False) -> bool:
        """True when each of its processes lives and the control store knows a living node.

        Among several nodes a raylet may be lost, the head's like any other: it is started again by itself.
        """
        vital = [pid for name, pid in self.pids.items() if not (among_several and name == "raylet")]
        return all(map(pid_lives, vital)) and answers(self.address, PROBE_S)


@dataclass(frozen=True, slots=True)
class LocalNode:
    """One raylet of the cluster, the head's included."""

    name: str
    pid: int
    session: int
    boot: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of the cluster of one home lie."""

    folder: Path
    """Private, in the home: token, record, lock."""
    temp_dir: Path
    """Short, for Ray's sockets and logs; in a private folder, because Ray opens its own to everybody."""

    @classmethod
    def of(cls, settings: Settings) -> "Place":
        """The place of these settings' home; its folders exist."""
        return cls(private_folder(settings.home / "ray"), short_folder(settings.home, "mr") / "r")

    @property
    def lock(self) -> Path:
        return self.folder / "command.lock"

    @property
    def token_file(self) -> Path:
        """The token, made when there is none."""
        path = self.folder / "token"
        private_text(path, lambda: secrets.token_hex(32))
        return path

    def signs(self) -> Signs:
        """By what the processes of this cluster are known."""
        head = self.recorded()
        known: list[Head | LocalNode] = [*([head] if head else []), *self.nodes().values()]
        return Signs(str(self.temp_dir), frozenset(one.session for one in known if one.boot == boot_id()))

    def recorded(self) -> Head | None:
        """The head that was last started here, whether it still lives or not."""
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, TypeError):
            told = json.loads((self.folder / "head.json").read_text())
            return Head(**{**told, "control": tuple(told.get("control", ()))})
        return None

    def record(self, head: Head) -> None:
        """The head is found by the next command."""
        keep_private(self.folder / "head.json", json.dumps(asdict(head)))

    def nodes(self) -> Mapping[str, LocalNode]:
        """The nodes that were last started here, by name, whether they still live or not."""
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, TypeError):
            told = json.loads((self.folder / "nodes.json").read_text())
            return {name: LocalNode(**node) for name, node in told.items()}
        return {}

    def record_nodes(self, *nodes: LocalNode) -> None:
        """These nodes too are found by the next command, instead of those of the same name."""
        known = {**self.nodes(), **{node.name: node for node in nodes}}
        keep_private(self.folder / "nodes.json", json.dumps({name: asdict(node) for name, node in known.items()}))

    def forget(self) -> None:
        """No head is recorded, and no node."""
        (self.folder / "head.json").unlink(missing_ok=True)
        (self.folder / "nodes.json").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Ray's folders of earlier clusters are gone, but the last one's logs."""
        for old in sorted(self.temp_dir.glob("session_2*"))[:-1]:
            shutil.rmtree(old)


def start(place: Place, settings: Settings, warm: int) -> Head:
    """A head runs in processes that outlive this one, and is recorded.

    Ray gives a node 30 s to register, which a busy machine may not keep: one more try costs less than an error.

    Raises:
        ClusterError: it did not come up; what had started is ended again.
    """
    try:
        head = _try_start(place, settings, warm)
    except ClusterError:
        head = _try_start(place, settings, warm)
    place.record(head)
    return head


def _try_start(place: Place, settings: Settings, warm: int) -> Head:
    store = GcsStore.of(settings)
    wished = {
        "num_cpus": settings.ray_cpus or os.cpu_count(),
        "warm_workers": warm,
        "object_store_bytes": OBJECT_STORE_BYTES,
        "temp_dir": str(place.temp_dir),
        "dashboard_port": free_port(settings.dashboard_port),
        "node_name": FIRST_NODE,
        "gcs_store": asdict(store) if store else None,
    }
    told, session = run_starter("actors.head", place, wished, store)
    pids, namespace = told["pids"], store.namespace if store else None
    control = tuple(psutil.Process(pids["gcs_server"]).cmdline()) if store else ()
    head = Head(told["address"], told["dashboard"], pids, session, boot_id(), namespace, control)
    place.record_nodes(LocalNode(FIRST_NODE, pids["raylet"], session, boot_id()))
    return head


def run_starter(
    module: str, place: Place, wished: Mapping[str, object], store: GcsStore | None = None
) -> tuple[dict[str, Any], int]:
    """What `python -m module` told of the processes that it started, and their session.

    Raises:
        ClusterError: it told nothing; what had started is ended again.
    """
    log = place.folder / f"{module.rpartition('.')[2]}.log"
    with log.open("wb") as complaints:
        starter = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
            cwd=place.folder,
            env=environment(place, store),
        )
        try:
            said, _ = starter.communicate(json.dumps(wished), timeout=START_S)
            return json.loads(said), starter.pid
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            kill_session(starter.pid)
            starter.communicate()
            hint = f"read {log} and {place.temp_dir}"
            raise ClusterError(f"Ray did not start: {_last_line(log)}", hint=hint) from None


def environment(place: Place, store: GcsStore | None = None) -> Mapping[str, str]:
    """What Ray and its workers inherit: the caller's environment, without other wishes about Ray."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ours = Path(actors.__file__).parent.parent
    path = [os.environ.get("PYTHONPATH", ""), str(Path.cwd()), str(ours)]
    return {
        **inherited,
        **token_environment(place.token_file),
        **HEALTH_CHECKS,
        **WARM_WORKERS,
        **({"RAY_external_storage_namespace": store.namespace} if store else {}),
        ONE_MACHINE: "0",
        MARK: str(place.temp_dir),
        LOGS: str(place.folder.parent / "logs"),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),  # behaviours lie where the caller stands
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or Ray ships `uv run` to each worker
        "RAY_USAGE_STATS_ENABLED": "0",
        "DASHBOARD_METRIC_PORT": "0",  # its fixed default would meet that of another cluster
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list is fetched at import
    }


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
