"""`python -m actors.heart FOLDER`: the outer watchdog of one machine, named as Erlang's is.

It is the small parent of everything that `maestro up` starts here: embedded Redis, Ray's head, raylets. It reaps what
ends (a zombie raylet keeps its workers alive: PROMISES R4), hears its pulse (`actors.pulse`), which makes the store and
Ray do something every second, and has what is missing started again (`actors.mending`).

Invariants:
- one heart per home, by a lock that the kernel frees; killed, it is started again by its pulse, and nothing else ends;
- it restarts within an intensity, as a supervisor does; beyond it, it gives up with a reason that `maestro status`
  shows, until a person says `maestro up`;
- it never restarts what a person took down: `maestro down` ends it, and it everything that it keeps, in order;
- it imports nothing of Ray, and waits for nobody.

On clusters this is the task of systemd or Kubernetes: docs/how-to/keep-it-running.md.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.heart_files import Files, State, Told, Wish
from actors.reaping import adopt_orphans, has_children, kill_group, reaped, spawn
from actors.rhythm import MAX_RESTARTS, WITHIN_S, Rhythm
from maestro.home import PRIVATE_FILE, try_lock

SAID_TWICE = 2  # one look may meet a busy moment
SILENT_S = 30.0  # a pulse takes up to 10 s for one look
FIRST_WORD_S = 60.0  # it imports Ray
STEP_S = 500.0
FAREWELL_S = 10.0  # for the last that was kept to end, after it was asked to
TURN_S = 1.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """The process that looks, the pipe it speaks into, and the one by whose end it knows that the heart has died."""

    pid: int
    lines: int
    stdin: int


class Heart:
    """One heart, from its first beat to its last."""

    def __init__(self, files: Files, wish: Wish) -> None:
        self._files = files
        self._wish = wish
        self._told = Told(os.getpid(), "mending", _now_ms())
        self._rhythm = Rhythm()
        self._step: tuple[int, float] | None = None
        """The pid of the work under way, and when it must be done."""
        self._ever_kept = False
        self._pulse: Pulse | None = None
        self._silent_at = 0.0
        self._troubles: list[str] = []
        """What the pulse said of late, one look after the other, since all was well."""
        self._over_at: float | None = None
        """When an ending heart waits no longer for what it kept."""
        self._selector = selectors.DefaultSelector()
        self._heard: set[int] = set()
        self._bell, self._ringing = _bell(self._heard)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def run(self) -> None:
        """Beats until a person takes everything down, or nothing could be started at all."""
        self._work(self._wish.keep, "mending")
        while not self._is_over(time.monotonic()):
            for key, _ in self._selector.select(TURN_S):
                self._read(key.fd)
            for pid in reaped():
                self._reaped(pid)
            self._turn(time.monotonic())
        self._files.tell(self._told)

    def _is_over(self, now: float) -> bool:
        return self._over_at is not None and (now > self._over_at or not has_children())

    def _turn(self, now: float) -> None:
        if signal.SIGTERM in self._heard and self._told.state != "ending":
            self._end()
        self._heard.clear()
        if self._step is not None and now > self._step[1]:
            kill_group(self._step[0])
        if self._step is not None or self._told.state == "ending":
            return
        wish = self._files.wish()
        if wish is not None and wish.id != self._wish.id:
            self._wish, self._rhythm = wish, Rhythm()
            self._work(wish.keep, "mending")
        elif self._told.state == "keeping" and (trouble := self._trouble(now)) and self._rhythm.may_restart(now):
            self._restart(trouble, now)

    def _trouble(self, now: float) -> str | None:
        """What is to be mended now, in words."""
        if self._pulse is not None and now > self._silent_at:
            return "the pulse is silent"
        return self._troubles[-1] if len(self._troubles) >= SAID_TWICE else None

    def _restart(self, trouble: str, now: float) -> None:
        if self._rhythm.is_over(now):
            self._give_up(f"restarted {MAX_RESTARTS} times within {WITHIN_S} s, and again: {trouble}")
            return
        self._rhythm = self._rhythm.restarted(now)
        restarts = self._told.restarts + 1
        self._told = replace(self._told, reason=trouble, restarts=restarts, last_restart_ms=_now_ms())
        self._work(self._wish.keep, "mending")

    def _give_up(self, reason: str) -> None:
        self._stop_pulse()
        self._tell("gave_up", reason)

    def _end(self) -> None:
        """Everything that is kept is being taken down in order."""
        if self._step is not None:
            kill_group(self._step[0])
        self._files.wish_nothing()
        self._work("down", "ending")

    # ------------------------------------------------------------ work, and what comes of it

    def _work(self, step: str, state: State) -> None:
        """A step is under way; the pulse pauses."""
        self._stop_pulse()
        self._files.set_task(self._wish)
        self._tell(state, self._told.reason)
        self._step = spawn("actors.mending", str(self._files.folder), step), time.monotonic() + STEP_S

    def _reaped(self, pid: int) -> None:
        """A child is gone: a step, the pulse, or something that was kept, of which the pulse will tell."""
        if self._step is not None and pid == self._step[0]:
            self._step = None
            self._done(self._files.outcome() or _no_word(self._files.folder))
        elif self._pulse is not None and pid == self._pulse.pid:
            self._stop_pulse()
            self._troubles = ["the pulse has ended"] * SAID_TWICE

    def _done(self, outcome: Mapping[str, Any]) -> None:
        if self._told.state == "ending":
            self._told = replace(self._told, answer=dict(outcome))
            self._over_at = time.monotonic() + FAREWELL_S
            return
        asked = self._told.answered != self._wish.id
        self._told = replace(self._told, answered=self._wish.id, answer=dict(outcome))
        error = outcome.get("error")
        if error is None:
            self._ever_kept = True
            self._tell("keeping", self._told.reason)
            self._start_pulse()
        elif asked:  # a person is told, and decides
            self._give_up(error["message"])
            self._over_at = None if self._ever_kept else time.monotonic()
        else:
            self._tell("keeping", self._told.reason)
            self._troubles = [error["message"]] * SAID_TWICE

    # ------------------------------------------------------------ the pulse

    def _start_pulse(self) -> None:
        lines, their_stdout = os.pipe()
        their_stdin, stdin = os.pipe()
        pid = spawn("actors.pulse", str(self._files.folder), stdin=their_stdin, stdout=their_stdout)
        os.close(their_stdout)
        os.close(their_stdin)
        self._pulse = Pulse(pid, lines, stdin)
        self._silent_at = time.monotonic() + FIRST_WORD_S
        self._selector.register(lines, selectors.EVENT_READ)

    def _stop_pulse(self) -> None:
        self._troubles = []
        if self._pulse is None:
            return
        pulse, self._pulse = self._pulse, None
        kill_group(pulse.pid)  # before its standard input ends, by which it would know that the heart has died
        self._selector.unregister(pulse.lines)
        os.close(pulse.lines)
        os.close(pulse.stdin)

    def _read(self, descriptor: int) -> None:
        if self._pulse is None or descriptor != self._pulse.lines:
            self._bell.recv(4096)
            return
        for line in os.read(descriptor, 65_536).splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # whatever a library says there must not end a heart
                trouble = json.loads(line)["trouble"]
                self._silent_at = time.monotonic() + SILENT_S
                self._troubles = [] if trouble is None else [*self._troubles, trouble][-SAID_TWICE:]

    def _tell(self, state: State, reason: str | None) -> None:
        self._told = replace(self._told, state=state, reason=reason, since_ms=_now_ms())
        self._files.tell(self._told)


def main(arguments: Sequence[str]) -> None:
    files = Files(Path(arguments[1]))
    lock = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    wish = files.wish()
    if wish is None or not try_lock(lock):
        return  # nothing is to be kept, or another heart keeps it
    adopt_orphans()
    Heart(files, wish).run()


def _bell(heard: set[int]) -> tuple[socket.socket, socket.socket]:
    """A socket that can be read when a signal came, which stands in `heard` then; and its other end."""
    bell, ringing = socket.socketpair()
    bell.setblocking(False)
    ringing.setblocking(False)
    signal.set_wakeup_fd(ringing.fileno(), warn_on_full_buffer=False)
    for sign in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(sign, lambda number, _: heard.add(number))
    return bell, ringing


def _no_word(folder: Path) -> Mapping[str, Any]:
    hint = f"read {folder}/heart.log"
    return {"error": {"kind": "ClusterError", "message": "a restart ended without a word", "field": None, "hint": hint}}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main(sys.argv)
