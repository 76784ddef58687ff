"""The local Ray cluster of `maestro up`: one per home, found again, ended whole, and nobody else's touched.

One home serves the tests in the order in which they stand, because each start costs seconds.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from actors import cluster
from actors.cluster import ClusterInfo
from actors.local_ray import Place
from actors.processes import Signs, find, lives, wait_gone
from maestro.errors import ClusterError
from maestro.home import short_folder
from maestro.settings import Settings

pytestmark = pytest.mark.e2e

DRIVER = """
import json, os, sys
import ray
from actors import cluster
from maestro.settings import Settings

settings = Settings.from_json(sys.argv[1])
info = cluster.connect(settings)

@ray.remote(num_cpus=0)
class Witness:
    def tell(self):
        import behaviour_of_mine
        return os.getpid(), behaviour_of_mine.WORD, os.environ["RAY_AUTH_MODE"]

if sys.argv[2] == "create":
    Witness.options(name="pool/default/0", lifetime="detached").remote()
print(json.dumps(ray.get(cluster.RayCluster(settings).actor("pool/default/0").tell.remote())))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("caller")
    (folder / "behaviour_of_mine.py").write_text('WORD = "found"')
    return folder


@pytest.fixture(scope="module")
def settings(folder: Path) -> Iterator[Settings]:
    settings = Settings.load(home=folder / "home", ray_cpus=1, dashboard_port=0)
    yield settings
    cluster.kill(settings)
    shutil.rmtree(short_folder(settings.home, "mr"))


def ensure_from(folder: Path, settings: Settings) -> dict[str, object]:
    """`maestro up` in short: another process starts or finds the cluster, and ends."""
    program = """
import sys
from actors import cluster
from maestro.settings import Settings
info = cluster.ensure(Settings.from_json(sys.argv[1]))
import json
print(json.dumps([info.address, info.started, info.dashboard_url, dict(info.pids)]))
"""
    address, started, dashboard, pids = json.loads(python(folder, program, settings.to_json()))
    return {"address": address, "started": started, "dashboard": dashboard, "pids": pids}


def python(folder: Path, program: str, *arguments: str) -> str:
    root = str(Path(cluster.__file__).parent.parent)
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def ours(settings: Settings) -> set[int]:
    return {process.pid for process in find(Place.of(settings).signs())}


def carrying(text: str) -> set[int]:
    """Living processes that show the temp folder anywhere; found otherwise than the code under test does."""
    found = set()
    for process in psutil.process_iter():
        try:
            if lives(process) and text in " ".join([*process.cmdline(), *process.environ().values()]):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """The control store of somebody else's Ray, from the same installation."""
    folder = tmp_path_factory.mktemp("stranger")
    program = Path(ray.__file__).parent / "core" / "src" / "ray" / "gcs" / "gcs_server"
    names = {"log_dir": folder, "session-dir": folder, "session-name": "theirs", "node_id": "a" * 56}
    ports = {"gcs_server_port": 0, "metrics-agent-port": -1, "node-ip-address": "127.0.0.1", "config_list": "e30="}
    arguments = [f"--{name}={value}" for name, value in {**names, **ports}.items()]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_without_a_cluster_the_error_says_what_to_do(settings: Settings):
    assert cluster.running(settings) is None
    for ask in (cluster.connect, cluster.environment):
        with pytest.raises(ClusterError, match="no local Ray cluster") as caught:
            ask(settings)
        assert caught.value.hint == "run `maestro up`"


def test_it_is_started_once_and_outlives_its_starter(folder: Path, settings: Settings):
    first = ensure_from(folder, settings)
    second = ensure_from(folder, settings)
    assert (first["started"], second["started"]) == (True, False)
    assert first["address"] == second["address"]
    found = cluster.running(settings)
    assert isinstance(found, ClusterInfo)
    assert (found.address, found.pids, found.started) == (first["address"], first["pids"], False)


def test_all_its_ports_are_on_loopback(settings: Settings):
    hosts = set()
    for pid in ours(settings):
        connections = psutil.Process(pid).net_connections("inet")
        hosts |= {c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN}
    assert hosts == {"127.0.0.1"}


def test_its_files_are_ours_alone(settings: Settings):
    place = Place.of(settings)
    assert place.token_file.stat().st_mode & 0o777 == 0o600
    assert place.temp_dir.parent.stat().st_mode & 0o777 == 0o700
    processes = [psutil.Process(pid) for pid in ours(settings)]
    shown = [text for process in processes for text in (*process.cmdline(), *process.environ().values())]
    assert place.token_file.read_text() not in " ".join(shown)


def test_other_terminals_join_it_and_find_its_actors(folder: Path, settings: Settings):
    text = settings.to_json()
    created = json.loads(python(folder, DRIVER, text, "create"))
    found = json.loads(python(folder, DRIVER, text, "find"))
    assert created == found
    assert created[1:] == ["found", "token"]
    assert created[0] in ours(settings)


def test_a_name_that_nobody_bears_is_not_found(folder: Path, settings: Settings):
    program = """
import sys
from actors.cluster import RayCluster
from maestro.errors import NotFound
from maestro.settings import Settings
try:
    RayCluster(Settings.from_json(sys.argv[1])).actor("nobody")
except NotFound as error:
    print(error.field)
"""
    assert python(folder, program, settings.to_json()).strip() == "name"


def test_a_driver_without_the_token_is_refused(folder: Path, settings: Settings):
    address = cluster.environment(settings)["RAY_ADDRESS"]
    program = f"""
import os
os.environ["RAY_AUTH_MODE"] = "disabled"
import ray
from ray._raylet import GcsClient
try:
    GcsClient(address={address!r})
except ray.exceptions.AuthenticationError:
    print("refused")
"""
    assert python(folder, program).strip() == "refused"


def test_what_ray_warns_every_driver_of_is_logged_and_not_printed_among_our_answers(folder: Path, settings: Settings):
    program = """
import json, sys, time
import ray
from ray._private.utils import push_error_to_driver
from structlog.testing import capture_logs
from actors import cluster
from maestro.settings import Settings
cluster.connect(Settings.from_json(sys.argv[1]))
deadline = time.monotonic() + 30
with capture_logs() as heard:
    while not any("a word to all" in line.get("text", "") for line in heard) and time.monotonic() < deadline:
        push_error_to_driver(ray._private.worker.global_worker, "warning", "a word to all")
        time.sleep(0.1)
print(json.dumps({"heard": heard[0]["event"]}))
"""
    assert json.loads(python(folder, program, settings.to_json())) == {"heard": "Ray warns"}


def test_rays_own_commands_work_with_the_environment_that_we_tell(settings: Settings):
    told = {**os.environ, **cluster.environment(settings)}
    ray_command = Path(sys.executable).parent / "ray"
    ran = subprocess.run([ray_command, "health-check"], env=told, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr[-500:]


def test_half_dead_it_is_replaced_whole(folder: Path, settings: Settings, stranger: psutil.Process):
    before = ours(settings)
    found = cluster.running(settings)
    assert found is not None
    raylet = psutil.Process(found.pids["raylet"])
    raylet.kill()
    assert not wait_gone([raylet], 10)
    assert cluster.running(settings) is None
    again = ensure_from(folder, settings)
    assert again["started"]
    assert not before & ours(settings)
    assert cluster.running(settings) is not None
    assert lives(stranger)


def test_after_kill_9_of_everything_it_starts_again(folder: Path, settings: Settings, stranger: psutil.Process):
    place = Place.of(settings)
    head = place.recorded()
    assert head is not None
    killed = cluster.kill(settings)
    assert {int(name.rsplit(" ", 1)[1]) for name in killed.forced} >= set(head.pids.values())
    assert carrying(str(place.temp_dir)) == set()
    place.record(head)  # a crash forgets nothing
    assert cluster.running(settings) is None
    assert ensure_from(folder, settings)["started"]
    assert lives(stranger)


def test_an_orderly_stop_leaves_no_process_and_touches_nobody_else(settings: Settings, stranger: psutil.Process):
    mine = ours(settings)
    assert mine
    ended = cluster.stop(settings)
    assert {int(name.rsplit(" ", 1)[1]) for name in ended.orderly} >= mine
    assert ended.forced == ()
    assert carrying(str(Place.of(settings).temp_dir)) == set()
    assert lives(stranger)
    assert not cluster.stop(settings)


def test_who_only_reads_our_files_is_not_ours(settings: Settings):
    log = Place.of(settings).temp_dir / "reader"
    log.parent.mkdir(exist_ok=True)
    log.write_text("")
    with subprocess.Popen(["/usr/bin/tail", "-f", str(log)]) as reader:
        assert reader.pid not in {process.pid for process in find(Signs(str(Place.of(settings).temp_dir)))}
        reader.kill()


def test_a_cluster_of_others_is_neither_started_nor_asked(settings: Settings):
    info = cluster.ensure(settings.having(ray_address="10.1.2.3:6379"))
    assert (info.address, info.started, info.pids) == ("10.1.2.3:6379", False, {})
