"""The process of a tool worker: one call after the other, one JSON line each.

    {"limits": {...}}                                     ->  {"ready": true}
    {"tool": "module:name", "arguments": {}, "cpu_s": n, "gifts": {}}
                                                          ->  {"result": ...} | {"error": {code, message, field, hint}}

Invariants: memory, files and processor time are limited before any code of a tool is loaded; whatever a tool raises
becomes an answer, and a result that is too large does too.
"""

import asyncio
import ctypes
import importlib
import inspect
import os
import resource
import signal
import sys
from typing import Any

import orjson

from maestro.adapters.sandbox.line import line_open
from maestro.errors import ToolDeclined, ToolError, ToolNotFound
from maestro.tools.calls import error_body, failed
from maestro.tools.gifts import giving
from maestro.tools.spec import Tool

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serves until the other side closes."""
    die_with_parent()
    asked, answer = line_open()
    limits = orjson.loads(asked.readline())["limits"]
    limit(resource.RLIMIT_AS, limits["memory_bytes"])
    limit(resource.RLIMIT_NOFILE, limits["open_files"])
    limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    limit(resource.RLIMIT_CORE, 0)
    answer({"ready": True})
    while line := asked.readline():
        order = orjson.loads(line)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + order["cpu_s"] + 1, hard))
        told = _carried_out(order)
        if len(orjson.dumps(told)) > limits["output_bytes"]:
            told = {"error": error_body(failed(order["tool"], f"its result is beyond {limits['output_bytes']} bytes"))}
        answer(told)
    os._exit(0)  # whatever threads and exit handlers a tool has left behind


def die_with_parent() -> None:
    """Whoever is killed leaves no worker behind, not even one in the middle of a call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def limit(what: int, most: int) -> None:
    """This process may take `most` of it from now on, and never more again."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _carried_out(order: dict[str, Any]) -> dict[str, Any]:
    place = order["tool"]
    try:
        tool = _found(place)
        with giving(order["gifts"]):
            if inspect.iscoroutinefunction(tool.function):
                returned = asyncio.run(tool.function(**order["arguments"]))
            else:
                returned = tool.function(**order["arguments"])
        return {"result": tool.answer(returned)}
    except ToolDeclined as error:
        return {"error": error_body(error)}
    except ToolError as error:
        return {"error": error_body(error)}
    except BaseException as error:  # noqa: BLE001 - a tool may raise anything; here it is an answer
        return {"error": error_body(failed(place, f"{type(error).__name__}: {error}"))}


def _found(place: str) -> Tool:
    """The tool at `module:name`.

    Raises:
        ToolNotFound: nothing of that name is a tool.
    """
    module, _, name = place.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Tool):
        raise ToolNotFound(
            f"{place} is no tool", field="tool", hint="declare it at the top of a module, by its own name"
        )
    return found
