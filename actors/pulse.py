"""`python -m actors.pulse FOLDER`: asks the store and Ray, every second, to do something, and says a line each time.

A line is JSON: `{"trouble": null}`, or in words what no longer does its work. Whether a pid lives proves nothing
(PROMISES R7): the store answers a command; the control store writes a value and reads it back, and knows as many living
nodes as were started here.

A process of its own: Ray's client ends the process it lives in when it has missed the control store for a minute.
Where standard input ends, the heart has died: another is started, and this process ends.
"""

import contextlib
import functools
import json
import os
import secrets
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module without types
from ray.core.generated import gcs_pb2
from ray.exceptions import RayError

from actors import keeping
from actors.heart_files import Files
from actors.joining import carry_token
from actors.local_ray import Place
from actors.names import NAMESPACE
from actors.processes import pid_lives
from actors.store_look import StoreLook
from maestro.settings import Settings

LOOK_S = 1.0
PATIENCE_S = 10.0  # a busy machine answers late; a process that is gone is seen at the next look
_KEY = b"maestro:pulse"

Look = Callable[[], str | None]
"""What is wrong, in words."""


def main() -> None:
    files = Files(Path(sys.argv[1]))
    wish = files.task()
    settings = Settings.from_json(wish.settings)
    looks: list[Look] = []
    if settings.redis_url is None:
        looks.append(StoreLook(settings.home, settings.store_patience_ms / 1000))
    if wish.keep == "all" and settings.ray_address is None:
        looks.append(lambda: patiently(lambda: ray_trouble(settings)))
    to_heart = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Ray's client logs to standard output
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        troubles = [trouble for look in looks if (trouble := look()) is not None]
        with contextlib.suppress(BrokenPipeError):
            to_heart.write(json.dumps({"trouble": "; ".join(troubles) or None}) + "\n")
    if files.wish() is not None:
        keeping.start(files)


def ray_trouble(settings: Settings) -> str | None:
    """What the local cluster no longer does."""
    place = Place.of(settings)
    head = place.recorded()
    if head is None:
        return "no Ray runs"
    gone = [f"{name} {pid}" for name, pid in head.pids.items() if not pid_lives(pid)]
    gone += [f"the raylet of {node.name}" for node in place.nodes().values() if not pid_lives(node.pid)]
    if gone:
        return f"{gone[0]} is gone"
    carry_token(place.token_file)
    written = secrets.token_bytes(8)
    try:
        gcs = _client(head.address)
        gcs.internal_kv_put(_KEY, written, True, NAMESPACE.encode(), timeout=PATIENCE_S)
        read = gcs.internal_kv_get(_KEY, NAMESPACE.encode(), timeout=PATIENCE_S)
        nodes = gcs.get_all_node_info(timeout=PATIENCE_S)
    except (RayError, RuntimeError) as error:
        return f"the control store does not do its work: {error}"[:200]
    alive = sum(node.state == gcs_pb2.GcsNodeInfo.ALIVE for node in nodes.values())  # type: ignore[attr-defined]
    if read != written:
        return "the control store does not read what it was given to write"
    started = max(1, len(place.nodes()))
    return None if alive >= started else f"{alive} of {started} nodes answer the control store"


@functools.lru_cache(maxsize=1)
def _client(address: str) -> GcsClient:
    return GcsClient(address=address)


def patiently(look: Look) -> str | None:
    """What `look` says: Ray's client waits as long as it likes for a server that is paused, and we do not."""
    said: list[str | None] = []
    looking = threading.Thread(target=lambda: said.append(look()), daemon=True)
    looking.start()
    looking.join(PATIENCE_S)
    return said[0] if said else f"Ray has not answered for {PATIENCE_S:.0f} s"


if __name__ == "__main__":
    main()
