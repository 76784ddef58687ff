"""The keeper of the pane: Serve hosts the HTTP API, and what Serve says of it.

Invariants: what runs already is left alone, whoever started it; a deployment that failed is tried again after a minute;
a port that somebody else has is told, and nothing else of the installation waits for it.
What is not here: the replica that dies, which Serve replaces by itself; and its end: it goes with the cluster.
"""

import asyncio
import importlib
from collections.abc import Callable
from time import monotonic

import structlog
from pydantic import JsonValue
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from actors.kernel_keeper import AGAIN_S, LOOK_MS, WORDS, told_of
from actors.serving import begin_serve
from actors.supervised import Supervised
from maestro import bootstrap
from maestro.runtime.loops import keep
from maestro.settings import Settings

APP = "api"
log = structlog.get_logger()


class PaneKeeperActor(Supervised):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
        app: `module:function`, which makes the application from the settings.
    """

    def __init__(self, *, incarnation: str, settings: str, app: str) -> None:
        super().__init__(incarnation)
        self._settings = Settings.from_json(settings)
        bootstrap.enter_process(self._settings, "pane-keeper")
        module, _, name = app.partition(":")
        self._build: Callable[[str], Application] = getattr(importlib.import_module(module), name)
        self._told: dict[str, JsonValue] = {"state": "NOT_STARTED", "message": "", "replicas": {}}
        self._deployed_at = -AGAIN_S

    async def told(self) -> dict[str, JsonValue]:
        """Where it is, in which state, with how many replicas in which states, and what Serve says of it."""
        return {"app": APP, "url": self._settings.pane_url, **self._told}

    async def work(self) -> None:
        async def step() -> int:
            try:
                await asyncio.to_thread(self._look)
            except (RayError, RayServeException, TimeoutError, RuntimeError) as error:  # a port that is taken
                self._told = {**self._told, "state": "UNKNOWN", "message": repr(error)[:WORDS]}
                log.warning("the pane was not looked at", error=repr(error)[:WORDS])
            return LOOK_MS

        await keep("pane-keeper", step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

    def _look(self) -> None:
        seen = serve.status().applications.get(APP)
        if self._is_to_be_deployed(seen):
            self._deploy()
            seen = serve.status().applications.get(APP)
        if seen is not None:
            self._told = told_of(seen)

    def _is_to_be_deployed(self, seen: ApplicationStatusOverview | None) -> bool:
        if seen is None or seen.status == ApplicationStatus.NOT_STARTED:
            return True
        return seen.status == ApplicationStatus.DEPLOY_FAILED and monotonic() - self._deployed_at > AGAIN_S

    def _deploy(self) -> None:
        """Serve knows what is to run, at /."""
        self._deployed_at = monotonic()
        log.info("the pane is deployed", url=self._settings.pane_url)
        begin_serve(self._settings)
        target = serve.RunTarget(target=self._build(self._settings.to_json()), name=APP, route_prefix="/")
        serve.run_many([target], wait_for_applications_running=False)
