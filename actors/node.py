"""`python -m actors.node`: starts further raylets of a local cluster, prints them as one JSON line, and ends.

Each is a node of its own to Ray, with its own name, labels and worker processes, on the same machine: what a cluster
of several machines does when one is lost, paused or drained can be seen here. What it started lives on, in the session
of this process; see `actors.head`, which starts the first node, and why it is not `ray start`.
"""

import json
import sys
from typing import Any

from ray._private.node import Node
from ray._private.parameter import RayParams

from maestro.loopback import free_port


def main() -> None:
    """Reads the wishes of `actors.local_nodes` as JSON from standard input; nodes start one after the other."""
    wished = json.load(sys.stdin)
    pids = {node["name"]: _start(wished, node) for node in wished["nodes"]}
    print(json.dumps({"pids": pids}))  # noqa: T201


def _start(wished: dict[str, Any], node: dict[str, Any]) -> int:
    started = Node(
        RayParams(
            gcs_address=wished["address"],
            node_ip_address="127.0.0.1",
            node_name=node["name"],
            labels=node["labels"],
            num_cpus=wished["num_cpus"],
            object_store_memory=wished["object_store_bytes"],
            node_manager_port=0,
            # Told beforehand: else a raylet waits until its agents have told theirs, 15 s at most, and dies.
            metrics_agent_port=free_port(),
            metrics_export_port=free_port(),
            dashboard_agent_listen_port=free_port(),
            runtime_env_agent_port=free_port(),
            min_worker_port=0,
            max_worker_port=0,
            include_log_monitor=False,  # type: ignore[arg-type]  # a bool, whatever Ray annotates
        ),
        head=False,
        shutdown_at_exit=False,
        spawn_reaper=False,
    )
    return int(started.all_processes["raylet"][0].process.pid)


if __name__ == "__main__":
    main()
