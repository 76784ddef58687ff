"""Files below a root, and nowhere else.

Invariant: each part of a name is opened from the folder before it and never through a link, so that neither a link that
is there nor one that is put there meanwhile leads out of the root.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath, PurePosixPath
from typing import BinaryIO

from maestro.errors import InvalidInput
from maestro.mesh.paths import check_name

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer must not hold anybody


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file below a root."""

    name: str
    size_bytes: int
    modified_ns: int


Check = Callable[[str], PurePosixPath]
"""Says that a name is safe, or raises InvalidInput."""


def read_inside(root: PurePath, name: str, max_bytes: int, check: Check = check_name) -> bytes:
    """The first `max_bytes` of the file `name` below `root`.

    Raises:
        InvalidInput: no such regular file there, by a name that is safe and a path without links.
    """
    try:
        with _open_inside(root, check(name)) as file:
            return file.read(max_bytes)
    except OSError as error:
        raise InvalidInput(
            f"{name[:80]!r} is no file here: {error.strerror}", field="name", hint="name a file below the root"
        ) from None


def walk_inside(root: PurePath, glob: str, max_files: int, check: Check = check_name) -> Iterator[Found]:
    """The regular files below `root` whose last part matches `glob`, one more than `max_files` at most.

    Links, hidden files and what has no safe name are passed over.

    Raises:
        OSError: the root itself cannot be read.
    """
    left = max_files + 1
    for found in _walk(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), "", glob, check):
        yield found
        left -= 1
        if left == 0:
            return


@contextmanager
def _open_inside(root: PurePath, name: PurePosixPath) -> Iterator[BinaryIO]:
    *folders, last = name.parts
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        opened = os.open(last, _FILE, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(0, "not a regular file")
        yield file


def _walk(folder: int, prefix: str, glob: str, check: Check) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            name = f"{prefix}{entry.name}"
            with suppress(OSError, InvalidInput):  # gone meanwhile, or of a name that nobody could open
                check(name)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(os.open(entry.name, _FOLDER, dir_fd=folder), f"{name}/", glob, check)
                elif entry.is_file(follow_symlinks=False) and fnmatchcase(entry.name, glob):
                    seen = entry.stat(follow_symlinks=False)
                    yield Found(name, seen.st_size, seen.st_mtime_ns)
    finally:
        os.close(folder)
