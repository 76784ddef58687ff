"""Where traces are wanted, and where they are not: the same face for who runs ticks.

Invariant: OpenTelemetry is loaded only where traces are wanted; a tick never fails, nor a process, for want of them.
"""

import importlib
from typing import Protocol

import structlog

from maestro.errors import InvalidInput
from maestro.settings import Settings
from maestro.tick.mind import Faculties
from maestro.tick.store import Store

OPENING = "maestro.adapters.otel.opening"

log = structlog.get_logger()


class Around(Protocol):
    """What is put around the ports of ticks."""

    def around_store(self, store: Store) -> Store: ...

    def around_faculties(self, faculties: Faculties) -> Faculties: ...


class Tracing(Around, Protocol):
    """The same of one process, with a way out."""

    def close(self) -> None:
        """What was ended is sent, or was given up; blocks for as long."""
        ...


class Untraced:
    """No traces: every port is itself."""

    def around_store(self, store: Store) -> Store:
        return store

    def around_faculties(self, faculties: Faculties) -> Faculties:
        return faculties

    def close(self) -> None:
        """Nothing is to be sent."""


def check_tracing(settings: Settings) -> None:
    """What sends traces is installed, where traces are wanted.

    Raises:
        InvalidInput: it is not, or the file of headers is not good.
    """
    if settings.otel_endpoint is not None:
        importlib.import_module(OPENING).check(settings)


def open_tracing(settings: Settings, process: str) -> Tracing:
    """The traces of this process; none where none are wanted, or this node cannot send them, which its log tells."""
    if settings.otel_endpoint is None:
        return Untraced()
    try:
        tracing: Tracing = importlib.import_module(OPENING).Exported(settings, process)
    except (ImportError, InvalidInput) as error:
        log.error("no traces", error=str(error))  # noqa: TRY400 - the text says it all
        return Untraced()
    return tracing
