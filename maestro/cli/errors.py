"""Errors as the command line tells them: one line on stderr, and an exit status.

    0 ok   1 failed   2 usage   3 not found   4 cannot reach the store or the cluster   124 timed out   130 interrupted

With `-o json` or `jsonl` the line is {code, message, field, hint}, on stderr too: stdout gets data and nothing else.
A reader that went away (`maestro list | head -1`) had what it wanted: that is no error.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import Sequence

import orjson
from typer import Abort, Exit
from typer.exceptions import TyperException

from maestro.cli.inert import inert, inert_json
from maestro.errors import MaestroError

INTERRUPTED = 130
OUTPUT_OPTIONS = ("-o", "--output")


def told(error: BaseException, arguments: Sequence[str]) -> int:
    """The exit status of `error`, which has been told."""
    if isinstance(error, Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | Abort | asyncio.CancelledError):
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        return reader_is_gone()
    status, facts = _facts(error)
    line = inert_json(orjson.dumps(facts).decode()) if wants_json(arguments) else _sentence(facts)
    print(line, file=sys.stderr)
    if facts["code"] == "defect" and os.environ.get("MAESTRO_LOG_LEVEL") == "debug":
        traceback.print_exception(error)
    return status


def wants_json(arguments: Sequence[str]) -> bool:
    """True when the command line asks for JSON; looked up here because an error may come before it is parsed."""
    before = ""
    for word in arguments:
        value = word if before in OUTPUT_OPTIONS else word.removeprefix("--output=").removeprefix("-o")
        if value in ("json", "jsonl") and (before in OUTPUT_OPTIONS or value != word):
            return True
        before = word
    return False


def reader_is_gone() -> int:
    """What Python still holds for stdout goes nowhere; the status of a call whose reader had enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _facts(error: BaseException) -> tuple[int, dict[str, str | None]]:
    if isinstance(error, MaestroError):
        facts = {"code": error.code, "message": error.message, "field": error.field, "hint": error.hint}
        return error.exit_status, facts
    if isinstance(error, TyperException):
        parameter = getattr(getattr(error, "param", None), "name", None)
        said = error.format_message().rstrip(".").replace("Value error, ", "")
        message = said[:1].lower() + said[1:]
        return error.exit_code, {"code": "usage", "message": message, "field": parameter, "hint": _help_of(error)}
    if isinstance(error, OSError) and error.filename is not None:
        hint = "name another file, or change its permissions"
        message = f"{error.filename}: {error.strerror}"
        return 1, {"code": "failed", "message": message, "field": str(error.filename), "hint": hint}
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    message = f"a defect of Maestro: {type(error).__name__}: {error}{where}"
    return 1, {
        "code": "defect",
        "message": message,
        "field": None,
        "hint": "MAESTRO_LOG_LEVEL=debug shows the traceback",
    }


def _help_of(error: TyperException) -> str:
    path = getattr(getattr(error, "ctx", None), "command_path", "maestro")
    return f"see `{path} --help`"


def _sentence(facts: dict[str, str | None]) -> str:
    hint = f" ({facts['hint']})" if facts["hint"] else ""
    return f"maestro: {inert(str(facts['message']) + hint)}"
