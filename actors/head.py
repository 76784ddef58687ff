"""`python -m actors.head`: starts the head node of a local Ray cluster, prints where it is as one JSON line, and ends.

What it started lives on, in the session of this process. It does what `ray start --head` does, with the same class, for
three reasons: `ray start` always opens a Ray client server on port 10001, which a second cluster on the machine would
share; it imports Serve and the dashboard's command line, 3 s more of a CPU; and it tells pids and ports only as prose.
`ray._private.node.Node` is also what `ray.cluster_utils` stands on; pyproject holds Ray below 2.61, and
tests/e2e/test_local_cluster.py fails if it changes.
"""

import json
import sys
from typing import Any

from ray._private import services
from ray._private.node import Node
from ray._private.parameter import RayParams

_WARM = "--num_prestart_python_workers="


def main() -> None:
    """Reads the wishes of `actors.cluster` as JSON from standard input."""
    wished = json.load(sys.stdin)
    _warm(max(wished["warm_workers"], wished["num_cpus"]))
    head = Node(
        RayParams(
            node_ip_address="127.0.0.1",
            node_name=wished["node_name"],
            gcs_server_port=0,
            **_external(wished["gcs_store"]),
            num_cpus=wished["num_cpus"],
            object_store_memory=wished["object_store_bytes"],
            temp_dir=wished["temp_dir"],
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=wished["dashboard_port"],
            dashboard_agent_listen_port=0,
            min_worker_port=0,
            max_worker_port=0,
            include_log_monitor=False,  # type: ignore[arg-type]  # a bool, whatever Ray annotates; our logs are our own
            no_monitor=True,  # one machine does not scale itself
        ),
        head=True,
        shutdown_at_exit=False,
        spawn_reaper=False,
    )
    pids = {kind: group[0].process.pid for kind, group in head.all_processes.items()}
    print(json.dumps({"address": head.address, "dashboard": head.address_info["webui_url"], "pids": pids}))  # noqa: T201


def _external(store: dict[str, Any] | None) -> dict[str, Any]:
    """Where the control store keeps its state, as Ray's parameters; nothing where that is its memory."""
    if store is None:
        return {}
    address = f"{'rediss://' if store['tls'] else ''}{store['host']}:{store['port']}"
    given = {"external_addresses": [address, address], "num_redis_shards": 1, "redis_password": store["password"]}
    return {**given, "redis_username": store["user"]} if store["user"] else given


def _warm(workers: int) -> None:
    """So many idle workers are made while the head starts, both cores at work; Ray itself makes one per CPU.

    A supervisor starts its children one after the other, as OTP does. Made beforehand, with our modules imported
    (RAY_preload_python_modules), a child's process costs no start of Python, no Ray, no imports.
    """
    start = services.start_ray_process

    def start_warm(command: list[str], process_type: str, *given: Any, **named: Any) -> Any:
        wanted = [_WARM + str(workers) if part.startswith(_WARM) else part for part in command]
        return start(wanted, process_type, *given, **named)

    services.start_ray_process = start_warm


if __name__ == "__main__":
    main()
