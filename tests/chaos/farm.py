"""Several Redis servers of a test's own: a cluster of six, or a primary with a replica and three Sentinels.

Each server is a child of the test's process that can be killed or stopped by its place; ports are free ones of this
machine, and all of it lies in one folder.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from maestro.adapters.redis.binary import find_binary
from tests.loopback import free_port

START_S = 20.0
FORM_S = 30.0
NODE_TIMEOUT_MS = 1_500
SLOTS = 16_384
KEEPS = (
    "appendonly yes",
    "appendfsync always",
    "aof-load-truncated no",
    'save ""',
    "repl-diskless-sync yes",
    "repl-diskless-sync-delay 0",
)


class NeverSaid(Exception):
    """What no server says."""


@dataclass
class Server:
    """One process at one port."""

    port: int
    folder: Path
    binary: Path
    lines: tuple[str, ...] = ()
    sentinel: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, answers: type[Exception] = NeverSaid, reached: Callable[[], redis.Redis] | None = None) -> None:
        """It answers, or says no in the way that `answers` is.

        Args:
            reached: a client of it, where `client()` does not get in.
        """
        self.folder.mkdir(exist_ok=True)
        conf = self.folder / "conf"
        if not conf.exists():  # Sentinels and nodes keep what they learned in theirs
            place = (f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", f"logfile {self.folder / 'log'}")
            conf.write_text("\n".join((*place, *(() if self.sentinel else KEEPS), *self.lines, "")))
        arguments = [str(self.binary), str(conf), *(["--sentinel"] if self.sentinel else [])]
        self.process = subprocess.Popen(arguments)
        with (reached or self.client)() as client:
            until(lambda: _answers(client, answers), START_S, self._last_words)

    def _last_words(self) -> str:
        log = self.folder / "log"
        return log.read_text()[-2_000:] if log.exists() else "it left no word"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2.0, protocol=2)

    def say(self, *command: object) -> Any:
        with self.client() as client:
            client.response_callbacks.clear()  # as the server says it
            return client.execute_command(*command)

    def kill(self) -> None:
        """It is gone without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def send(self, sign: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(sign)

    @property
    def is_primary(self) -> bool:
        return bool(self.say("ROLE")[0] == b"master")


@dataclass
class Farm:
    """All servers of one test."""

    folder: Path
    binary: Path
    servers: list[Server] = field(default_factory=list)

    def add(self, *lines: str, sentinel: bool = False, port: int | None = None) -> Server:
        port = port or free_port()
        server = Server(port, self.folder / str(port), self.binary, lines, sentinel)
        self.servers.append(server)
        server.start()
        return server

    def close(self) -> None:
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.send(signal.SIGCONT)
                server.kill()
        shutil.rmtree(self.folder)


@contextmanager
def farm(binary: Path | None = None) -> Iterator[Farm]:
    """An empty one; whatever is added is gone in the end."""
    made = Farm(Path(tempfile.mkdtemp(prefix="mf-", dir="/tmp")), binary or find_binary(None).path)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def cluster_of_six(binary: Path | None = None, timeout_ms: int = NODE_TIMEOUT_MS) -> Iterator[Farm]:
    """Three primaries that share all slots, each with a replica."""
    lines = (
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        f"cluster-node-timeout {timeout_ms}",
        "cluster-replica-validity-factor 0",
    )
    with farm(binary) as made:
        nodes = [made.add(*lines, port=free_port(bus=True)) for _ in range(6)]
        for number, node in enumerate(nodes[:3]):
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3
            node.say("CLUSTER", "ADDSLOTS", *range(first, last))
            node.say("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            nodes[0].say("CLUSTER", "MEET", "127.0.0.1", node.port)
        until(lambda: all(len(_known(node)) == 6 for node in nodes), FORM_S, lambda: str([_known(n) for n in nodes]))
        for primary, replica in zip(nodes[:3], nodes[3:], strict=True):
            replica.say("CLUSTER", "REPLICATE", primary.say("CLUSTER", "MYID").decode())
        until(lambda: all(_is_whole(node) for node in nodes), FORM_S, lambda: str([_known(n) for n in nodes]))
        until(lambda: all(_linked(node) for node in nodes[3:]), FORM_S, lambda: "the replicas do not follow")
        yield made


def cluster_url(made: Farm) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in made.servers)


@contextmanager
def watched_pair(binary: Path | None = None, down_after_ms: int = 1_000) -> Iterator[Farm]:
    """A primary, its replica, and three Sentinels that call them `store`: the servers come first."""
    with farm(binary) as made:
        primary = made.add()
        replica = made.add(f"replicaof 127.0.0.1 {primary.port}")
        until(lambda: _linked(replica), FORM_S, lambda: "the replica does not follow")
        watch = (
            f"sentinel monitor store 127.0.0.1 {primary.port} 2",
            f"sentinel down-after-milliseconds store {down_after_ms}",
            "sentinel failover-timeout store 5000",
        )
        sentinels = [made.add(*watch, sentinel=True) for _ in range(3)]
        until(lambda: all(_watches(each) for each in sentinels), FORM_S, lambda: "the Sentinels do not see each other")
        yield made


def sentinel_url(made: Farm) -> str:
    places = ",".join(f"127.0.0.1:{server.port}" for server in made.servers if server.sentinel)
    return f"redis+sentinel://{places}/store"


def primary_of(made: Farm, number: int = 0) -> Server:
    """The n-th living server that is a primary now."""
    living = [each for each in made.servers if not each.sentinel and each.process and each.process.poll() is None]
    return [each for each in living if each.is_primary][number]


def until(holds: Callable[[], bool], within_s: float, told: Callable[[], str]) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def _answers(client: redis.Redis, also: type[Exception]) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError as error:
        return isinstance(error, also)


def _known(node: Server) -> list[str]:
    """The nodes that this one has shaken hands with."""
    return [line for line in _text(node.say("CLUSTER", "NODES")).splitlines() if "handshake" not in line]


def _is_whole(node: Server) -> bool:
    return "cluster_state:ok" in _text(node.say("CLUSTER", "INFO"))


def _linked(replica: Server) -> bool:
    role = replica.say("ROLE")
    return bool(role[0] == b"slave" and role[3] == b"connected")


def _watches(sentinel: Server) -> bool:
    told = [_text(each) for each in sentinel.say("SENTINEL", "MASTER", "store")]
    found = dict(zip(told[::2], told[1::2], strict=True))
    return int(found["num-slaves"]) >= 1 and int(found["num-other-sentinels"]) >= 2


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
