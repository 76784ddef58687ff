"""MAESTRO_HOME on disk: private folders, secrets that are made once, one lock per service.

Invariants: what is private belongs to this user and to nobody else, or is refused; a secret is complete or absent,
whoever reads it and however many make it at once; nothing lives in a temp folder but sockets, which need short paths.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from maestro.errors import InvalidInput, TimedOut

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
SOCKET_PATH_BYTES = 100  # sun_path holds 108 with its NUL on Linux, 104 on BSD
_POLL_S = 0.02
EMBEDDED = "embedded"
"""What the embedded store is called among the stores of which something is remembered."""


def default_home() -> Path:
    """The state folder of this user, as the XDG rules name it."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "maestro"


def private_folder(path: Path) -> Path:
    """`path` is a folder that only this user may enter.

    Raises:
        InvalidInput: it is something else, belongs to another user, or others may enter it.
    """
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=PRIVATE_FOLDER)
    _require_private(path, stat.S_ISDIR, f"chmod 700 {path}")
    return path


def private_text(path: Path, make: Callable[[], str]) -> str:
    """The text of a file that only this user may read; made with `make` when there is none, once for all callers.

    Raises:
        InvalidInput: it belongs to another user, others may read it, or it is empty.
    """
    if not path.exists():
        with _scratch_beside(path, make()) as scratch, contextlib.suppress(FileExistsError):
            os.link(scratch, path)  # unlike a rename, a link never replaces what another process made first
    return read_private(path)


def read_private(path: Path) -> str:
    """The text of a file that only this user may read.

    Raises:
        InvalidInput: there is none, it belongs to another user, others may read it, or it is empty.
    """
    _require_private(path, stat.S_ISREG, f"chmod 600 {path}")
    text = path.read_text().strip()
    if not text:
        raise InvalidInput(f"{path} is empty", field=str(path), hint="put the secret in it, or remove it")
    return text


def keep_private(path: Path, text: str) -> Path:
    """`path` holds `text`, all of it or what it held before; only this user may read it."""
    private_folder(path.parent)
    with _scratch_beside(path, text) as scratch:
        scratch.replace(path)
    return path


@contextlib.contextmanager
def locked(path: Path, patience_s: float) -> Iterator[None]:
    """Nobody else on this machine is inside the block of the same `path`; the kernel frees it if this process dies.

    Raises:
        TimedOut: somebody else held it for longer than `patience_s`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        deadline = time.monotonic() + patience_s
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise TimedOut(f"{path} is held by another maestro command", hint="wait for it, or end it")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def marks_folder(home: Path, store: str) -> Path:
    """Where it is remembered of `store` which it was and how far it had come: outside of it."""
    return home / "marks" / store


def try_lock(descriptor: int) -> bool:
    """True when this open file now holds its lock; a process that inherits the descriptor keeps holding it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def short_folder(home: Path, prefix: str) -> Path:
    """A private folder with a short path that only `home` leads to, for sockets and what else needs one.

    It lies under /tmp and not under /run/user, which is emptied when its user logs out.
    """
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:10]
    return private_folder(Path("/tmp") / f"{prefix}-{os.getuid()}-{digest}")  # noqa: S108 - private_folder refuses what is not ours


def _require_private(path: Path, is_kind: Callable[[int], bool], fix: str) -> None:
    try:
        seen = path.lstat()
    except FileNotFoundError:
        raise InvalidInput(f"{path} does not exist", field=str(path), hint="create it, or name another") from None
    if not is_kind(seen.st_mode):
        raise InvalidInput(f"{path} is not of the kind that is needed here", field=str(path), hint="move it away")
    if seen.st_uid != os.getuid():
        raise InvalidInput(f"{path} belongs to user {seen.st_uid}", field=str(path), hint=f"chown it to {os.getuid()}")
    if stat.S_IMODE(seen.st_mode) & 0o077:
        raise InvalidInput(
            f"{path} is open to others (mode {stat.S_IMODE(seen.st_mode):04o})", field=str(path), hint=fix
        )


@contextlib.contextmanager
def _scratch_beside(path: Path, text: str) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp's mode is 0600
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)
