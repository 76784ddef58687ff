"""Ray's own state in a Redis of its own: never ours; a control store that is killed comes back knowing its actors."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import redis

from actors import cluster, installation
from actors.gcs_store import GcsStore
from actors.local_ray import Place
from actors.names import NAMESPACE
from actors.processes import lives, wait_gone
from maestro.adapters.redis.binary import find_binary
from maestro.cli import doctor
from maestro.errors import InvalidInput, StoreUnavailable
from maestro.home import keep_private, short_folder
from maestro.settings import Settings
from tests.e2e.support import eventually
from tests.loopback import free_port

PASSWORD = "of-ray-alone"


@dataclass(frozen=True)
class Server:
    port: int
    socket: Path
    folder: Path

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=PASSWORD)

    def settings(self, **more: object) -> Settings:
        password = keep_private(self.folder / "home" / "gcs.password", PASSWORD)
        return Settings.load(
            home=self.folder / "home", gcs_redis_url=self.url, gcs_redis_password_file=password, ray_cpus=1,
            dashboard_port=0, **more,
        )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The embedded server's binary, on a port: Ray knows no sockets."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="mg", dir="/tmp"))
    made = Server(port, folder / "s", folder)
    (folder / "home").mkdir(mode=0o700)
    words = f"--port {port} --bind 127.0.0.1 --unixsocket {made.socket} --requirepass {PASSWORD} --dir {folder}"
    command: list[str | Path] = [find_binary(None).path, *words.split(), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        with made.client() as client:
            eventually(lambda: _answers(client), bool)
        yield made
        process.kill()
    shutil.rmtree(folder)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_the_server_of_our_own_state_is_refused_however_it_is_reached(server: Server) -> None:
    store = GcsStore.of(server.settings())
    assert store is not None
    for ours in (f"redis://:{PASSWORD}@localhost:{server.port}", f"unix://:{PASSWORD}@{server.socket}"):
        with pytest.raises(InvalidInput, match="is the server of our own state") as refused:
            store.check_apart(ours)
        assert refused.value.field == "gcs_redis_url"
    with pytest.raises(StoreUnavailable, match="no Redis answers"):
        store.check_apart("redis://127.0.0.1:1")


def test_up_refuses_it_before_anything_is_started_and_the_doctor_says_so(server: Server) -> None:
    password = server.folder / "home" / "gcs.password"
    settings = server.settings(redis_url=server.url, redis_password_file=password)
    with pytest.raises(InvalidInput, match="is the server of our own state"):
        installation.up(settings)
    assert Place.of(settings).recorded() is None
    (finding,) = doctor._rays_store(settings)
    assert (finding.check, finding.ok) == ("Ray's store", False)
    assert "is the server of our own state" in finding.seen


@pytest.mark.parametrize("url", ["unix:///tmp/s", "redis://", "redis://:secret@h:1", "redis://h:1/3", "http://h"])
def test_an_address_that_ray_cannot_use_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        GcsStore.of(Settings.load(home=tmp_path, gcs_redis_url=url))
    assert refused.value.field == "gcs_redis_url"


BEAR = """
import json, os, sys
import ray
from actors import cluster
from maestro.settings import Settings

cluster.connect(Settings.from_json(sys.argv[1]))

@ray.remote(num_cpus=0)
class Witness:
    def tell(self):
        return os.getpid()

print(json.dumps(ray.get(Witness.options(name="witness", lifetime="detached").remote().tell.remote())))
"""


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_control_store_that_was_killed_comes_back_and_its_actors_go_on(server: Server) -> None:
    settings = server.settings()
    try:
        info = cluster.ensure(settings)
        pid = _python(BEAR, settings.to_json())
        with server.client() as client:
            assert client.dbsize() > 0
        control = psutil.Process(info.pids["gcs_server"])
        control.kill()
        wait_gone([control], 10)
        assert lives(psutil.Process(pid))
        assert cluster.running(settings) is None
        assert cluster.mend(settings) == ["gcs_server"]
        assert cluster.mend(settings) == []
        again = cluster.ensure(settings)
        assert (again.started, again.address) == (False, info.address)
        assert again.pids["gcs_server"] != info.pids["gcs_server"]
        cluster.connect(settings)
        witness: Any = ray.get_actor("witness", NAMESPACE)
        assert ray.get(witness.tell.remote(), timeout=60) == pid
    finally:
        ray.shutdown()
        cluster.stop(settings)
        shutil.rmtree(short_folder(settings.home, "mr"), ignore_errors=True)
    with server.client() as client:
        assert client.dbsize() == 0  # Ray's state went with its cluster


def _python(program: str, *arguments: str) -> Any:
    root = str(Path(cluster.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)
