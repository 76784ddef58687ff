"""Several nodes on one machine, and what of a local cluster runs again by itself after it was killed.

A node other than the first is a raylet in a session of its own, recorded by name. One that is gone is started again
under its name, with its labels; to Ray it is another node, and the supervisors have long restarted elsewhere what ran
on it. The control store is started again where its state outlives it (`actors.gcs_store`): nodes and actors go on.

Not here: a control store whose state died with it. Then the cluster is no cluster any more, and is built anew whole
(`actors.cluster.ensure`).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psutil

from actors.gcs_store import GcsStore
from actors.joining import answers, living_nodes
from actors.local_ray import (
    FIRST_NODE,
    OBJECT_STORE_BYTES,
    Head,
    LocalNode,
    Place,
    environment,
    run_starter,
)
from actors.processes import boot_id, end, pid_lives
from maestro.errors import ClusterError
from maestro.settings import Settings

CONTROL_S = 30.0  # seen: 1 s until the control store has read its state and answers
PROBE_S = 5.0
LOOK_S = 0.1
TRIES = 3
END_S = 5.0


def mend(place: Place, settings: Settings) -> Sequence[str]:
    """What is missing of the recorded cluster runs again, as far as that can be: the names of what was started.

    The caller holds the cluster's lock. A raylet that is paused is not missing until the control store gives it up.
    """
    head = place.recorded()
    if head is None or head.boot != boot_id():
        return []
    revived = _revive_control(place, settings, head)
    if not pid_lives((place.recorded() or head).pids["gcs_server"]):
        return revived
    _end_given_up(place, head)
    gone = missing(place, settings)
    if gone:
        add(place, settings, gone)
    return [*revived, *gone]


def _end_given_up(place: Place, head: Head) -> None:
    """A raylet that the control store holds for dead is: paused too long, it ends as soon as it finds out."""
    living = living_nodes(head.address, PROBE_S)
    nodes = place.nodes()
    if living is None or len(nodes) == 1:
        return
    for node in nodes.values():
        if node.name not in living and node.boot == boot_id() and pid_lives(node.pid):
            raylet = psutil.Process(node.pid)
            end([raylet, *raylet.children(recursive=True)], signal.SIGKILL, END_S)


def missing(place: Place, settings: Settings) -> Mapping[str, Mapping[str, str]]:
    """The nodes that should run here and do not: name -> labels. One alone is the head, which goes with its cluster."""
    known = place.nodes()
    labels: dict[str, Mapping[str, str]] = {name_of(number): {} for number in range(1, settings.local_nodes + 1)}
    labels |= {name: node.labels for name, node in known.items()}
    if len(labels) == 1:
        return {}
    return {
        name: labels[name]
        for name in labels
        if name not in known or known[name].boot != boot_id() or not pid_lives(known[name].pid)
    }


def add(place: Place, settings: Settings, nodes: Mapping[str, Mapping[str, str]]) -> None:
    """These nodes run, each with its labels, and are recorded.

    Raises:
        ClusterError: they did not come up, or no head is recorded.
    """
    head = place.recorded()
    if head is None:
        raise ClusterError("a node has no cluster to join", hint="run `maestro up`")
    wished = {
        "address": head.address,
        "num_cpus": settings.ray_cpus or os.cpu_count(),
        "object_store_bytes": OBJECT_STORE_BYTES,
        "nodes": [{"name": name, "labels": dict(labels)} for name, labels in nodes.items()],
    }
    told, session = _patiently(place, wished, GcsStore.of(settings, head.namespace))
    started = [LocalNode(name, told["pids"][name], session, boot_id(), labels) for name, labels in nodes.items()]
    place.record_nodes(*started)


def _patiently(place: Place, wished: Mapping[str, object], store: GcsStore | None) -> tuple[dict[str, Any], int]:
    """Ray gives a node 30 s to register, which a busy machine may not keep: further tries cost less than an error."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(ClusterError):
            return run_starter("actors.node", place, wished, store)
    return run_starter("actors.node", place, wished, store)


def name_of(number: int) -> str:
    """The name of one local node; the first is the head's."""
    return f"{FIRST_NODE.rpartition('-')[0]}-{number}"


def _revive_control(place: Place, settings: Settings, head: Head) -> list[str]:
    store = GcsStore.of(settings, head.namespace)
    if store is None or not head.control or pid_lives(head.pids["gcs_server"]):
        return []
    port = head.address.rpartition(":")[2]
    command = [f"--gcs_server_port={port}" if part.startswith("--gcs_server_port=") else part for part in head.control]
    with (place.folder / "control.log").open("ab") as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            start_new_session=True,
            cwd=place.folder,
            env=environment(place, store),
        )
    place.record(replace(head, pids={**head.pids, "gcs_server": process.pid}))
    deadline = time.monotonic() + CONTROL_S
    while not answers(head.address, PROBE_S):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            hint = f"read {place.folder / 'control.log'}; `maestro up` builds the cluster anew"
            raise ClusterError("Ray's control store did not come back", hint=hint)
        time.sleep(LOOK_S)
    process.returncode = 0  # it outlives this process, which is not its keeper
    return ["gcs_server"]
