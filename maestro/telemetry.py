"""Logs: one JSON object a line, from our code and from the libraries alike, to stderr and to a file under MAESTRO_HOME.

Bound to every line of a tick: continuation, tick, epoch, actor, node (`structlog.contextvars`).

Invariants: one event is one line, whatever stands in it; no character that steers a terminal gets through; a
registered secret never does; a process that dies says why, in its own log, before it is gone. Configuring twice
changes nothing but what differs.

Not here: traces (`maestro.adapters.otel`) and metrics (`actors.gauges`).
"""

import faulthandler
import json
import logging
import logging.handlers
import os
import re
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor

from maestro.home import private_folder

HIDDEN = "[hidden]"
LOGS = "MAESTRO_LOGS"
FILE_BYTES, FILES_KEPT = 16 * 1024 * 1024, 3
SHORTEST_SECRET = 6  # a shorter one would blot out ordinary words

_secrets: set[str] = set()
_steering = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_fault_file: TextIO | None = None

_COMMON: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
)


def configure(process: str, level: str = "info", log_dir: Path | None = None) -> None:
    """Every log line of this process is JSON on stderr, and in `log_dir`/`process`.jsonl where a folder is given.

    Args:
        process: what this process is, such as `supervisor/pools` or `pool/default/2`; on every line.
        log_dir: without it, the folder that the local cluster leaves in MAESTRO_LOGS for the processes below it.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if log_dir is None and LOGS in os.environ:
        log_dir = Path(os.environ[LOGS])
    if log_dir is not None:
        private_folder(log_dir)
        file = process.replace("/", "-")
        handlers.append(_file_handler(log_dir / f"{file}.jsonl"))
        _record_faults(log_dir / f"{file}.faults")
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[_with_process(process), structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
    )
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler.formatter, type(formatter))]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*_COMMON, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a second configure() must reach the loggers that exist
    )
    sys.excepthook = _log_death
    threading.excepthook = _log_thread_death


def hide(values: Iterable[str]) -> None:
    """None of these texts shows in a log line from now on, nor as JSON or a URL would write it."""
    for value in values:
        if len(value) >= SHORTEST_SECRET:
            _secrets.update((value, json.dumps(value)[1:-1], quote(value, safe="")))


def dying(reason: str, **facts: object) -> None:
    """The log says, on disk, that this process is about to end and why."""
    structlog.get_logger("maestro").critical("dying", reason=reason, **facts)
    for handler in logging.getLogger().handlers:
        handler.flush()


def bind(**keys: object) -> None:
    """Every later line of this task carries these keys, such as continuation=..., tick=..., epoch=...."""
    structlog.contextvars.bind_contextvars(**keys)


def unbind(*keys: str) -> None:
    """Later lines of this task no longer carry these keys."""
    structlog.contextvars.unbind_contextvars(*keys)


def _render(_: object, __: str, event: EventDict) -> str:
    """The line. Secrets go last, so that keys, tracebacks and foreign records are covered too."""
    line = json.dumps(event, default=repr, ensure_ascii=False)
    for secret in sorted(_secrets, key=len, reverse=True):
        line = line.replace(secret, HIDDEN)
    return _steering.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _with_process(process: str) -> Processor:
    def add(_: object, __: str, event: EventDict) -> EventDict:
        record = event.get("_record")
        pid = record.process if isinstance(record, logging.LogRecord) else None
        return {"at": event.pop("at", None), "level": event.pop("level", None), "process": process, "pid": pid, **event}

    return add


def _file_handler(path: Path) -> logging.Handler:
    return logging.handlers.RotatingFileHandler(
        path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", errors="backslashreplace", delay=True
    )


def _record_faults(path: Path) -> None:
    """A crash below Python leaves its stack in a file of its own, so that the log stays JSON."""
    global _fault_file  # faulthandler writes to it for as long as the process lives
    previous, _fault_file = _fault_file, path.open("a")
    faulthandler.enable(file=_fault_file, all_threads=True)
    if previous is not None:
        previous.close()


def _log_death(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    dying(f"{kind.__name__}: {error}", exc_info=(kind, error, trace))


def _log_thread_death(death: threading.ExceptHookArgs) -> None:
    name = death.thread.name if death.thread else "a thread"
    if death.exc_value is not None and not issubclass(death.exc_type, SystemExit):
        dying(
            f"{name} ended: {death.exc_type.__name__}: {death.exc_value}",
            exc_info=(death.exc_type, death.exc_value, death.exc_traceback),
        )
