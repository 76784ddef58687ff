"""A look at the embedded store, as the pulse takes it: gone, silent, or well.

A server that stands still for a moment (F4: a disk that is slow, a machine that sleeps) is waited for, and all of us
with it. One that has said nothing for `MAESTRO_STORE_PATIENCE_MS` gets kill -9, by pid, and is missed from then on:
what it acknowledged is on disk. One that loads its data answers, and is waited for as long as it takes.

Not here: starting it again (`actors.mending`).
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import psutil

from maestro.adapters.redis import server
from maestro.errors import MaestroError


class StoreLook:
    """What is wrong with the embedded store of a home, look after look."""

    def __init__(self, home: Path, patience_s: float, now: Callable[[], float] = monotonic) -> None:
        self._home = home
        self._patience_s = patience_s
        self._now = now
        self._silent_since: float | None = None
        self._ended: str | None = None
        """Why it is gone, where this ended it."""

    def __call__(self) -> str | None:
        try:
            standing = server.standing(self._home)
        except MaestroError:  # somebody else's server answers there: a person is told by `maestro status`
            return None
        if standing != "silent":
            self._silent_since = None
        if standing == "answers":
            self._ended = None
            return None
        return (self._ended or "the store is gone") if standing == "gone" else self._silent()

    def _silent(self) -> str | None:
        now = self._now()
        self._silent_since = self._silent_since or now
        if now - self._silent_since < self._patience_s:
            return None
        self._ended = f"the store did not answer for {self._patience_s:.0f} s: kill -9"
        for process in _servers(*server.signs(self._home)):
            process.kill()
        return self._ended


def _servers(socket: Path, lock: Path) -> Iterator[psutil.Process]:
    """The server that listens there and holds that lock, and what it forked; either sign alone may mislead."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            named = any(str(socket) in word for word in process.cmdline())
            if named and str(lock.resolve()) in {opened.path for opened in process.open_files()}:
                yield process
