"""The process in the sandbox: it reads states, one JSON line each, and answers with a verdict, one line each.

    {"modules": [...], "limit_s": 2.0}            ->  {"ready": true} | {"refused": {message, field, hint}}
    {"behaviour": ..., "version": ..., "state"}   ->  {"to_version": ..., "error": ..., "hint": ...}

Invariant: one state that takes too long ends this process by alarm, also when nobody is left to end it.
"""

import os
import signal
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.adapters.sandbox.line import Answer, line_open
from maestro.errors import MaestroError, Unservable
from maestro.tick.behaviour import Repertoire, migrated, state_of

LONGEST_LINE = 500


def main() -> None:
    """Serves until the other side closes."""
    asked, answer = line_open()
    order = orjson.loads(asked.readline())
    known = _load(order["modules"], answer)
    while known is not None and (line := asked.readline()):
        signal.setitimer(signal.ITIMER_REAL, 2 * order["limit_s"])
        told = _verdict(known, orjson.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer(told)
    os._exit(0)  # whatever threads and exit handlers user code has left behind


def _load(modules: list[str], answer: Answer) -> Repertoire | None:
    try:
        known = Repertoire.load(modules, installed=True)
    except MaestroError as error:
        answer({"refused": {"message": error.message, "field": error.field, "hint": error.hint}})
        return None
    answer({"ready": True})
    return known


def _verdict(known: Repertoire, sleeper: dict[str, Any]) -> dict[str, JsonValue]:
    to_version: int | None = None
    try:
        behaviour = known.find(sleeper["behaviour"])
        to_version = behaviour.version
        state_of(behaviour, migrated(behaviour, sleeper["state"], sleeper["version"]))
    except Unservable as error:
        return {"to_version": to_version, "error": _line(error.message), "hint": error.hint}
    except BaseException as error:  # noqa: BLE001 - user code may raise anything; here it is a verdict
        return {"to_version": to_version, "error": _line(f"{type(error).__name__}: {error}"), "hint": None}
    return {"to_version": to_version, "error": None, "hint": None}


def _line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_LINE]
