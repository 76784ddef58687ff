"""Asking a heart to keep an installation alive, and to let it go: what `maestro up`, `down` and `status` do with it.

Invariant: a heart that was asked answers that very question, or is found dead.
Not here: the heart itself (`actors.heart`), and the work that it has done (`actors.mending`).
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

import actors
from actors.heart_files import Files, Keep, Told, Wish
from maestro import errors
from maestro.errors import ClusterError, MaestroError
from maestro.home import locked

COMMAND_S = 600.0  # how long another maestro command may talk with the heart
ANSWER_S = 540.0  # a start takes up to a minute; loading a large append-only file takes its time
END_S = 300.0  # ticks have their grace, and Ray's processes theirs
_POLL_S = 0.05


def keep(home: Path, settings_json: str, what: Keep) -> dict[str, Any]:
    """What was asked for runs, and a heart keeps it so; returns what `actors.mending` told of it.

    Raises:
        MaestroError: it did not start, with the error of the step that failed.
    """
    files = Files.of(home)
    with locked(files.folder / "command.lock", COMMAND_S):
        wish = Wish(secrets.token_hex(8), what, settings_json, str(Path.cwd()))
        files.wish_for(wish)
        if not _signalled(files, signal.SIGHUP):
            start(files)
        return _answered(files, wish.id)


def keeps_all(home: Path) -> bool:
    """True when a heart lives that was asked to keep everything."""
    files = Files.of(home)
    wish = files.wish()
    return wish is not None and wish.keep == "all" and files.beats()


def heard_of(home: Path) -> tuple[Told, bool] | None:
    """What a heart said last and whether it lives; None where there never was one, or a person took it down."""
    if not (home / "heart").exists():
        return None
    files = Files.of(home)
    told, beats = files.told(), files.beats()
    return None if told is None or (told.state == "ending" and not beats) else (told, beats)


def release(home: Path) -> bool:
    """What the heart kept has ended in order, and the heart with it; False when none lived.

    Raises:
        MaestroError: it did not end in order; what was left of it is still there.
    """
    if not (home / "heart").exists():
        return False
    files = Files.of(home)
    with locked(files.folder / "command.lock", COMMAND_S):
        files.wish_nothing()
        lived = _signalled(files, signal.SIGTERM)
        deadline = time.monotonic() + END_S
        while files.beats():
            if time.monotonic() > deadline:
                raise ClusterError(f"the heart is not gone after {END_S:.0f} s", hint=f"read {files.folder}/heart.log")
            time.sleep(_POLL_S)
        told = files.told()
        (files.folder / "told.json").unlink(missing_ok=True)
    if lived and told is not None and told.state == "ending":
        _raise_error_of(told.answer)
    return lived


def kill(home: Path) -> None:
    """No heart lives, and none comes back; what it kept runs on, unkept."""
    if not (home / "heart").exists():
        return
    files = Files.of(home)
    files.wish_nothing()
    deadline = time.monotonic() + END_S
    while (told := files.told()) and files.beats() and time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(told.pid).children():
                if {"actors.mending", "actors.pulse"} & set(child.cmdline()):
                    child.kill()
        _signalled(files, signal.SIGKILL)
        time.sleep(_POLL_S)


def start(files: Files) -> None:
    """A heart is on its way, in a session of its own; if one lives already, it ends at once."""
    ours = Path(actors.__file__).parent.parent
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), str(Path.cwd()), str(ours)]))
    with (files.folder / "heart.log").open("ab") as complaints:
        begun = subprocess.Popen(
            [sys.executable, "-m", "actors.heart", str(files.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,
            cwd=files.folder,
            env={**os.environ, "PYTHONPATH": path},
        )
    begun.returncode = 0  # it outlives this process, which is not its keeper


def told_as(error: MaestroError) -> dict[str, Any]:
    """The error, to be raised again in another process."""
    kind = type(error).__name__
    return {"error": {"kind": kind, "message": error.message, "field": error.field, "hint": error.hint}}


def _answered(files: Files, wish_id: str) -> dict[str, Any]:
    deadline, lived_s = time.monotonic() + ANSWER_S, time.monotonic()
    while True:
        told = files.told()
        if told is not None and told.answered == wish_id:
            _raise_error_of(told.answer)
            return dict((told.answer or {})["result"])
        now = time.monotonic()
        if files.beats():
            lived_s = now
        elif now - lived_s > 10:
            raise ClusterError("the heart did not begin to beat", hint=f"read {files.folder}/heart.log")
        if now > deadline:
            raise ClusterError(f"the heart did not answer within {ANSWER_S:.0f} s", hint="see `maestro status`")
        time.sleep(_POLL_S)


def _signalled(files: Files, sign: signal.Signals) -> bool:
    """True when a living heart got the signal."""
    told = files.told()
    if told is None or not files.beats():
        return False
    with contextlib.suppress(psutil.Error):
        heart = psutil.Process(told.pid)
        if str(files.folder) in heart.cmdline():  # what was told may be of an earlier one, its pid another's by now
            heart.send_signal(sign)
            return True
    return False


def _raise_error_of(answer: dict[str, Any] | None) -> None:
    error = (answer or {}).get("error")
    if error is not None:
        kind = getattr(errors, error["kind"], ClusterError)
        raise kind(error["message"], field=error["field"], hint=error["hint"])
