"""The embedded server: a real Redis or Valkey of our own below MAESTRO_HOME, for those who name no other.

Invariants:
- it outlives the command that started it, and is found again: by its socket and password, never by a pid that was
  written down;
- one server per data folder, held by the kernel: the server inherits a locked file, so that whoever cannot take that
  lock knows that it lives, even when it is paused and answers nobody;
- what was written with one version is never opened with an older one, which would start empty;
- no TCP port; the folder, the socket and the password are this user's alone.

Settings follow PROMISES M1-M4: an acknowledged write is on disk, nothing is evicted, a damaged tail is not cut off.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from maestro.adapters.redis.binary import Binary, find_binary
from maestro.errors import StoreRefused, StoreUnavailable
from maestro.home import (
    EMBEDDED,
    PRIVATE_FILE,
    SOCKET_PATH_BYTES,
    keep_private,
    locked,
    marks_folder,
    private_folder,
    private_text,
    short_folder,
    try_lock,
)

START_S = 15.0  # from nothing to the first answer; measured 0.1 s, on a busy machine more
LOAD_S = 600.0  # a large append-only file takes its time to load
STOP_S = 30.0
COMMAND_S = 60.0  # how long another maestro command may hold the folder
_POLL_S = 0.02

Standing = Literal["gone", "silent", "answers"]


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that answers."""

    url: str = field(repr=False)
    """With the password in it."""
    address: str
    """The same without."""
    password_file: Path
    pid: int
    version: str
    binary: Path
    started: bool
    """True when this call started it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where everything of one server lies."""

    folder: Path
    socket: Path
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"unix://:{quote(self.password, safe='')}@{self.socket}?db=0"

    def client(self) -> redis.Redis:
        """A client that tells the truth at once: no retries, short patience."""
        return redis.Redis(
            unix_socket_path=str(self.socket),
            password=self.password,
            socket_timeout=2.0,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )


def ensure(home: Path, *, fsync: str = "always", binary: Path | None = None, load_s: float = LOAD_S) -> ServerInfo:
    """The server of `home` answers: the one that runs, or one started now on the data that is there.

    Args:
        fsync: `always`, or knowingly `everysec`, which may lose the last second in a power cut.
        binary: a server to use instead of the one that would be found.

    Raises:
        InvalidInput: something below `home` is open to others or belongs to somebody else.
        StoreUnavailable: it is paused, still loading after `load_s`, or started and never answered.
        StoreRefused: no fitting server is installed, or it refuses its data; says what its log says.
    """
    place = _place(home)
    with locked(place.folder / "command.lock", COMMAND_S):
        held = _take_data_lock(place)
        if held is None:
            info = _info(place, started=False, load_s=load_s)
            if info is not None:
                return info
            held = _wait_for_end(place)  # it was dying while we looked
        try:
            chosen = find_binary(_written_by(place), binary)
            keep_private(place.folder / "written-by", chosen.signature)
            _start(place, chosen, fsync, held)
        finally:
            os.close(held)  # the server inherited it, and holds the lock for as long as it lives
        info = _info(place, started=True, load_s=load_s)
        if info is None:
            raise StoreRefused(f"the server ended at once: {_last_words(place)}", hint=_advice(place))
        return info


def running(home: Path) -> ServerInfo | None:
    """The server of `home` if it runs; starts nothing, makes nothing.

    Raises:
        StoreUnavailable: it runs and does not answer.
    """
    if not (home / "redis" / "password").exists():
        return None
    place = _place(home)
    held = _take_data_lock(place)
    if held is not None:
        os.close(held)
        return None
    return _info(place, started=False, load_s=START_S)


def standing(home: Path) -> Standing:
    """Whether a server of `home` lives and says anything, at this moment; one that loads its data does.

    Raises:
        StoreRefused: somebody else's server answers there.
    """
    if not (home / "redis" / "password").exists():
        return "gone"
    place = _place(home)
    if _ask(place)[0]:
        return "answers"
    held = _take_data_lock(place)
    if held is None:
        return "silent"
    os.close(held)
    return "gone"


def signs(home: Path) -> tuple[Path, Path]:
    """By what the server of `home` is known among the processes of a machine: its socket, and what it locks."""
    place = _place(home)
    return place.socket, place.folder / "data.lock"


def stop(home: Path) -> bool:
    """The server of `home` has written everything and is gone; its data stay. False when none ran.

    Raises:
        StoreUnavailable: it does not answer, or is not gone after STOP_S.
    """
    if running(home) is None:
        return False
    place = _place(home)
    with locked(place.folder / "command.lock", COMMAND_S):
        with place.client() as client:
            client.shutdown(nosave=True)  # the append-only file is complete without a snapshot
        os.close(_wait_for_end(place))
    return True


def purge(home: Path) -> None:
    """The server of `home` is stopped and its data are gone for good; nobody misses them."""
    shutil.rmtree(marks_folder(home, EMBEDDED), ignore_errors=True)
    folder = home / "redis"
    if not folder.exists():
        return
    stop(home)
    socket = _place(home).socket
    shutil.rmtree(folder)
    if socket.parent != folder:
        shutil.rmtree(socket.parent)


def _place(home: Path) -> _Place:
    folder = private_folder(home.absolute() / "redis")
    private_folder(folder / "data")
    password = private_text(folder / "password", lambda: secrets.token_urlsafe(32))
    socket = folder / "redis.sock"
    if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
        socket = short_folder(home, "maestro") / "redis.sock"
    return _Place(folder, socket, password)


def _take_data_lock(place: _Place) -> int | None:
    """An open file that holds the lock of the data folder, or None while a server lives."""
    descriptor = os.open(place.folder / "data.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    if try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _start(place: _Place, binary: Binary, fsync: str, lock: int) -> None:
    """The server process is on its way; it detaches itself, so that nobody here has to wait for it."""
    config = keep_private(place.folder / "redis.conf", _config(place, binary, fsync))
    (place.folder / "server.log").unlink(missing_ok=True)
    try:
        said = subprocess.run(
            [str(binary.path), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
            cwd=place.folder,
            env={"PATH": os.defpath, "LANG": "C"},  # a server needs none of our secrets
            timeout=START_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StoreUnavailable(f"{binary.path} did not detach within {error.timeout:.0f} s", hint="try again") from None
    if said.returncode:
        raise StoreRefused(
            f"{binary.path} refuses to start: {said.stdout.decode(errors='replace').strip()[-500:]}",
            hint=f"see {config}",
        )


def _config(place: _Place, binary: Binary, fsync: str) -> str:
    small = "hash-max-listpack-value" if binary.version >= (7,) else "hash-max-ziplist-value"
    lines = {
        "port": "0",
        "unixsocket": _quoted(place.socket),
        "unixsocketperm": "700",
        "user": f"default on >{place.password} ~* &* +@all -flushall -flushdb",  # F18: nobody empties it by accident
        "dir": _quoted(place.folder / "data"),
        "daemonize": "yes",
        "pidfile": _quoted(place.folder / "redis.pid"),
        "logfile": _quoted(place.folder / "server.log"),
        "appendonly": "yes",
        "appendfsync": fsync,
        "aof-load-truncated": "no",  # M4: a flipped digit looks like a cut tail, and would drop all that follows
        "save": '""',
        "maxmemory-policy": "noeviction",
        "timeout": "0",
        small: "256",  # the rows of a checkpoint hash stay in the compact form
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _info(place: _Place, *, started: bool, load_s: float) -> ServerInfo | None:
    """What the server says of itself, once it has loaded its data; None when it is gone."""
    begun = time.monotonic()
    while True:
        seen, silence = _ask(place)
        patience_s = load_s if seen else START_S
        if seen and str(seen["loading"]) == "0":
            return _described(place, seen, started)
        if not seen and (held := _take_data_lock(place)) is not None:
            os.close(held)
            return None
        if time.monotonic() - begun > patience_s:
            state = "is still loading its data" if seen else f"lives and does not answer ({silence})"
            raise StoreUnavailable(
                f"the server of {place.folder} {state} after {patience_s:.0f} s",
                hint="wait for it; a paused one goes on with `kill -CONT`",
            )
        time.sleep(_POLL_S)


def _ask(place: _Place) -> tuple[Mapping[str, object], str]:
    """INFO, while it loads too; or nothing, and why."""
    try:
        with place.client() as client:
            return client.info(), ""
    except redis.AuthenticationError:
        raise StoreRefused(
            f"a server with another password answers at {place.socket}", hint="stop it, or use another home"
        ) from None
    except redis.RedisError as error:
        return {}, str(error)


def _described(place: _Place, seen: Mapping[str, object], started: bool) -> ServerInfo:
    return ServerInfo(
        url=place.url,
        address=f"unix://{place.socket}?db=0",
        password_file=place.folder / "password",
        pid=int(str(seen["process_id"])),
        version=str(seen.get("valkey_version") or seen["redis_version"]),
        binary=Path(str(seen["executable"])),
        started=started,
    )


def _wait_for_end(place: _Place) -> int:
    """The lock of the data folder, once no server holds it."""
    deadline = time.monotonic() + STOP_S
    while (held := _take_data_lock(place)) is None:
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"the server of {place.folder} is not gone after {STOP_S:.0f} s", hint="try again")
        time.sleep(_POLL_S)
    return held


def _written_by(place: _Place) -> str | None:
    path = place.folder / "written-by"
    return path.read_text() if path.exists() else None


def _last_words(place: _Place) -> str:
    log = place.folder / "server.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    telling = [line for line in lines if " # " in line or "***" in line or "rror" in line] or lines
    return " | ".join(telling[-3:]) or "its log is empty"


def _advice(place: _Place) -> str:
    return f"read {place.folder / 'server.log'}; a damaged file is repaired by redis-check-aof --fix, after a copy"
