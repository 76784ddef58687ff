"""The processes of one local Ray cluster: where its files lie, how its head is started, whether it is whole.

The record of a head is a hint, checked against the machine each time: after a crash its pids are dead, after a
reboot its boot is over.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

import actors
from actors.joining import ONE_MACHINE, answers, token_environment
from actors.processes import MARK, Signs, boot_id, kill_all, lives
from maestro.errors import ClusterError
from maestro.home import keep_private, private_folder, private_text, short_folder
from maestro.settings import Settings
from maestro.telemetry import LOGS

START_S = 120.0  # seen: 8 s on two idle cores, 23 s on busy ones
PROBE_S = 5.0
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

    def is_whole(self) -> bool:
        """True when each of its processes lives and the control store knows a living node."""
        try:
            return all(lives(psutil.Process(pid)) for pid in self.pids.values()) and answers(self.address, PROBE_S)
        except psutil.NoSuchProcess:
            return False


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
        return Signs(str(self.temp_dir), head.session if head and head.boot == boot_id() else None)

    def recorded(self) -> Head | None:
        """The head that was last started here, whether it still lives or not."""
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, TypeError):
            return Head(**json.loads((self.folder / "head.json").read_text()))
        return None

    def record(self, head: Head) -> None:
        """The head is found by the next command."""
        keep_private(self.folder / "head.json", json.dumps(asdict(head)))

    def forget(self) -> None:
        """No head is recorded."""
        (self.folder / "head.json").unlink(missing_ok=True)

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
    wished = {
        "num_cpus": settings.ray_cpus or os.cpu_count(),
        "warm_workers": warm,
        "object_store_bytes": OBJECT_STORE_BYTES,
        "temp_dir": str(place.temp_dir),
        "dashboard_port": _free_port(settings.dashboard_port),
    }
    log = place.folder / "head.log"
    with log.open("wb") as complaints:
        starter = subprocess.Popen(
            [sys.executable, "-m", "actors.head"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
            cwd=place.folder,
            env=_environment(place),
        )
        try:
            said, _ = starter.communicate(json.dumps(wished), timeout=START_S)
            told = json.loads(said)
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            kill_all(Signs(str(place.temp_dir), starter.pid))
            starter.communicate()
            hint = f"read {log} and {place.temp_dir}"
            raise ClusterError(f"Ray did not start: {_last_line(log)}", hint=hint) from None
    return Head(told["address"], told["dashboard"], told["pids"], starter.pid, boot_id())


def _environment(place: Place) -> Mapping[str, str]:
    """What Ray and its workers inherit: the caller's environment, without other wishes about Ray."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ours = Path(actors.__file__).parent.parent
    path = [os.environ.get("PYTHONPATH", ""), str(Path.cwd()), str(ours)]
    return {
        **inherited,
        **token_environment(place.token_file),
        **HEALTH_CHECKS,
        **WARM_WORKERS,
        ONE_MACHINE: "0",
        MARK: str(place.temp_dir),
        LOGS: str(place.folder.parent / "logs"),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),  # behaviours lie where the caller stands
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or Ray ships `uv run` to each worker
        "RAY_USAGE_STATS_ENABLED": "0",
        "DASHBOARD_METRIC_PORT": "0",  # its fixed default would meet that of another cluster
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list is fetched at import
    }


def _free_port(wished: int) -> int:
    """`wished` if nobody listens there, else one that is free now."""
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ClusterError("no port is free on 127.0.0.1", hint="end what holds them")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
