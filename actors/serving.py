"""Whoever keeps an application deployed on Serve: it looks every two seconds, and tells what it saw.

Invariants: a keeper is ready as soon as its process is, whatever loading Serve and the application takes, so that the
tree comes up on a busy machine, too; what goes wrong is told, and nothing else of the installation waits for it.
What is not here: what is done with Serve (`actors.on_serve`).
"""

import asyncio
import importlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import structlog
from pydantic import JsonValue

from actors.supervised import Supervised
from maestro import bootstrap
from maestro.runtime.loops import keep
from maestro.settings import Settings

LOOK_MS = 2_000
HOST = "actors.on_serve:Host"
"""By name: loading it takes seconds, and it loads what the application needs."""

log = structlog.get_logger()


class Away(Exception):
    """Serve was not asked, or did not answer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An application that is to run."""

    app: str
    build: str
    """`module:function`, which makes it of what is `given`."""
    given: JsonValue
    route: str | None = None
    deployment: str | None = None
    """Which must be among its deployments; without it, it is another, and replaced."""


class Looking(Protocol):
    """`actors.on_serve.Host`."""

    def look(self) -> dict[str, JsonValue]: ...


class AppKeeper(Supervised):
    """Keeps one application of Serve; who derives from it says which.

    Args:
        name: of the keeper, in the log.
        settings: those of the installation.
    """

    def __init__(self, incarnation: str, name: str, settings: Settings) -> None:
        super().__init__(incarnation)
        self.settings = settings
        self._name = name
        bootstrap.enter_process(settings, name)
        self._host: Looking | None = None
        self._told: dict[str, JsonValue] = {"state": "NOT_STARTED", "message": "Serve is being loaded", "replicas": {}}

    @abstractmethod
    def wanted(self) -> Wanted:
        """What Serve is to run."""

    async def told(self) -> dict[str, JsonValue]:
        """In which state it is, with how many replicas in which states, and what Serve says of it."""
        return {"app": self.wanted().app, **self._told}

    async def work(self) -> None:
        async def step() -> int:
            try:
                self._told |= await asyncio.to_thread(self._look)
            except (Away, ImportError) as error:
                self._told |= {"state": "UNKNOWN", "message": str(error)}
                log.warning("Serve was not looked at", keeper=self._name, error=str(error))
            return LOOK_MS

        await keep(self._name, step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

    def _look(self) -> dict[str, JsonValue]:
        if self._host is None:
            self._host = self._loaded()
        return self._host.look()

    def _loaded(self) -> Looking:
        module, _, name = HOST.partition(":")
        host: Looking = getattr(importlib.import_module(module), name)(self.wanted(), self.settings)
        return host
