"""This machine as a node of a cluster that `ray up` makes: `python -m actors.premises enrol | start ... | stop`.

cluster.yaml says when. A machine on the premises may be shared, and `ray down` knows nothing of that: it sends a bare
`ray stop` to the head, which would end every Ray of that machine, and to the other machines it sends nothing.

Invariants:
- a node starts with token authentication and the key that seals what is stored, or not at all: where the key is
  missing a machine would make one of its own, and what it wrote would be nobody else's;
- `stop`, and any `ray stop` that comes by ssh, ends this node's processes and nobody else's (`actors.processes`); on
  the head of a cluster of the provider `local` it ends those of the other machines first.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from actors.joining import token_environment
from actors.local_ray import HEALTH_CHECKS, OBJECT_STORE_BYTES, WARM_WORKERS
from actors.processes import MARK, Ended, Signs, boot_id, stop_all
from maestro.errors import ClusterError, MaestroError
from maestro.home import default_home, keep_private, private_folder, read_private, short_folder
from maestro.telemetry import LOGS

BOOTSTRAP = "ray_bootstrap_config.yaml"
"""What `ray up` leaves in the head's home folder, beside the key with which it reaches the others."""
ANSWER_MS = 2_000
"""How long a node may take to answer: on another machine there is one that can take over (one machine: local_ray)."""
REACH_S = 10
BEHAVIOURS = "behaviours"
"""A folder in the home folder, where cluster.yaml puts your modules."""

RAY = """#!/bin/sh
# `ray down` sends `ray stop` here, which would end every Ray of this machine. Here both mean one node's processes.
case "${{1:-}}" in
  start | stop) exec {python} -m actors.premises "$@" ;;
  *) exec {python} -m ray.scripts.scripts "$@" ;;
esac
"""
RC_LINE = (
    'export PATH="{folder}:$PATH" RAY_AUTH_MODE=token PYTHONPATH="$HOME/{behaviours}"  # Maestro: actors/premises.py\n'
)


def enrol() -> None:
    """Who comes by ssh finds our `ray` and `maestro`, and nobody else our files; a second time changes nothing."""
    _home().mkdir(parents=True, exist_ok=True)
    _home().chmod(0o700)  # rsync made it, for the key
    shim = private_folder(_home() / "bin") / "ray"
    shim.write_text(RAY.format(python=sys.executable))
    shim.chmod(0o700)
    command = shim.with_name("maestro")
    command.unlink(missing_ok=True)
    command.symlink_to(Path(sys.executable).with_name("maestro"))
    rc, line = Path.home() / ".bashrc", RC_LINE.format(folder=shim.parent, behaviours=BEHAVIOURS)
    if not rc.exists() or line not in rc.read_text():
        with rc.open("a") as file:
            file.write(line)


def start(arguments: Sequence[str]) -> None:
    """A node runs here, and whatever was left of one here is gone. The arguments are those of `ray start`.

    Raises:
        InvalidInput: there is no token or no key here, or others may read them.
        ClusterError: Ray did not start; it has told why.
    """
    token_file = Path.home() / ".ray" / "auth_token"
    read_private(token_file)
    read_private(Path(os.environ.get("MAESTRO_MAC_KEY_FILE", _home() / "mac.key")))
    stop_here()
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats"),
        *("--node-ip-address", _own_address(), "--temp-dir", str(_temp_dir())),
        *("--object-store-memory", str(OBJECT_STORE_BYTES), *arguments),
    ]
    starter = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env=_environment(token_file), cwd=Path.home(), start_new_session=True
    )
    keep_private(_record(), json.dumps({"session": starter.pid, "boot": boot_id()}))
    if starter.wait():
        stop_here()
        raise ClusterError("Ray did not start", hint=f"read what it says above, and {_temp_dir()}/session_latest/logs")


def stop() -> None:
    """Nothing of this node runs; on a head of provider `local`, nothing of the other machines' nodes either."""
    commands = list(stopping_others().values())
    with ThreadPoolExecutor(max(1, len(commands))) as reaching:
        for command, status in zip(commands, reaching.map(_stopped, commands), strict=True):
            if status:
                told = f"{command[-2]}: not stopped (ssh: {status}); log in there and run `ray stop`"
                print(told, file=sys.stderr)  # noqa: T201
    ended = stop_here()
    for name in (*ended.orderly, *ended.forced):
        print(f"ended {name}")  # noqa: T201


def stop_here() -> Ended:
    """Nothing of this node lives, and nothing of it is recorded."""
    ended = stop_all(_signs())
    _record().unlink(missing_ok=True)
    return ended


def stopping_others() -> Mapping[str, Sequence[str]]:
    """Address -> the command that stops the node there; empty but on the head of a cluster on the premises."""
    if not _on_premises():
        return {}  # a cloud takes the machines back
    told: dict[str, Any] = yaml.safe_load((Path.home() / BOOTSTRAP).read_text())
    auth = told["auth"]
    key = ["-i", os.path.expanduser(auth["ssh_private_key"])] if "ssh_private_key" in auth else []  # noqa: PTH111
    options = [f"ConnectTimeout={REACH_S}", "BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    ssh = ["ssh", *key, *(word for option in options for word in ("-o", option))]
    stopping = f"{sys.executable} -m actors.premises stop"
    return {ip: [*ssh, f"{auth['ssh_user']}@{ip}", stopping] for ip in told["provider"]["worker_ips"]}


def _on_premises() -> bool:
    """This is the head of a cluster of the provider `local`: Ray's second autoscaler (2.60) starts no node there."""
    bootstrap = Path.home() / BOOTSTRAP
    return bootstrap.exists() and yaml.safe_load(bootstrap.read_text())["provider"]["type"] == "local"


def _stopped(command: Sequence[str]) -> int:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode


def _signs() -> Signs:
    told: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        told = json.loads(_record().read_text())
    session = told.get("session") if told.get("boot") == boot_id() else None
    return Signs(str(_temp_dir()), frozenset() if session is None else frozenset({session}))


def _environment(token_file: Path) -> Mapping[str, str]:
    """What Ray and its workers inherit; what the caller says of Ray's settings goes first."""
    return {
        **HEALTH_CHECKS,
        "RAY_health_check_timeout_ms": str(ANSWER_MS),
        **WARM_WORKERS,
        **os.environ,
        **({"RAY_enable_autoscaler_v2": "0"} if _on_premises() else {}),
        **token_environment(token_file),
        MARK: str(_temp_dir()),
        LOGS: str(private_folder(_home()) / "logs"),
        "PYTHONPATH": str(Path.home() / BEHAVIOURS),
        "RAY_TMPDIR": str(_temp_dir()),  # its autoscaler's notes too lie there, and not in everybody's /tmp/ray
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def _own_address() -> str:
    """The address at which this machine was reached: Ray's own guess asks the route to the public net.

    Raises:
        ClusterError: nobody came by ssh.
    """
    told = os.environ.get("SSH_CONNECTION", "").split()
    if len(told) != 4:
        raise ClusterError("a node is started over ssh", hint="run `ray up cluster.yaml` elsewhere, not this by hand")
    return told[2]


def _home() -> Path:
    return Path(os.environ.get("MAESTRO_HOME", default_home()))


def _record() -> Path:
    return private_folder(_home() / "node") / "started.json"


def _temp_dir() -> Path:
    return short_folder(_home(), "mn") / "r"


def main(words: Sequence[str]) -> int:
    """What the words say was done, or why not."""
    try:
        match words:
            case ["enrol"]:
                enrol()
            case ["start", *arguments]:
                start(arguments)
            case ["stop"]:
                stop()
            case _:
                print(__doc__, file=sys.stderr)  # noqa: T201
                return 2
    except MaestroError as error:
        print(f"{error} ({error.hint})" if error.hint else str(error), file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
