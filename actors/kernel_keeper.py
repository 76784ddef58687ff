"""The keeper of the context kernel: Serve runs the application that the settings ask for, and what Serve says of it.

Invariants: what runs already is left alone, whoever started it; what runs with other options is replaced; a deployment
that failed is tried again after a minute; it has no HTTP route.
What is not here: replicas that die, which Serve replaces by itself; and its end: it goes with the cluster.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from time import monotonic

import structlog
from pydantic import JsonValue
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from actors.serving import begin_serve
from actors.supervised import Supervised
from maestro import bootstrap
from maestro.field.kernel import APP
from maestro.runtime.loops import keep
from maestro.settings import Settings

LOOK_MS = 2_000
AGAIN_S = 60.0
WORDS = 300
Build = Callable[[Mapping[str, object]], Application]

log = structlog.get_logger()


class KernelKeeperActor(Supervised):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
        app: `module:function`, which makes the application from the options.
    """

    def __init__(self, *, incarnation: str, settings: str, app: str) -> None:
        super().__init__(incarnation)
        self._settings = Settings.from_json(settings)
        bootstrap.enter_process(self._settings, "kernel-keeper")
        module, _, name = app.partition(":")
        self._build: Build = getattr(importlib.import_module(module), name)
        self._options = self._settings.kernel_options
        self._told: dict[str, JsonValue] = {"state": "NOT_STARTED", "message": "", "replicas": {}}
        self._deployed_at = 0.0

    async def told(self) -> dict[str, JsonValue]:
        """Which engine, in which state, with how many replicas in which states, and what Serve says of it."""
        return {"app": APP, "engine": self._options.engine, **self._told}

    async def work(self) -> None:
        async def step() -> int:
            try:
                await asyncio.to_thread(self._look)
            except (RayError, RayServeException, TimeoutError) as error:
                self._told = {**self._told, "state": "UNKNOWN", "message": repr(error)[:WORDS]}
                log.warning("the context kernel was not looked at", error=repr(error)[:WORDS])
            return LOOK_MS

        await keep("kernel-keeper", step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

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
        if seen.status == ApplicationStatus.DEPLOY_FAILED:
            return monotonic() - self._deployed_at > AGAIN_S
        return seen.status != ApplicationStatus.DELETING and self._options.deployment not in seen.deployments

    def _deploy(self) -> None:
        """Serve knows what is to run; loading a model takes as long as it takes."""
        self._deployed_at = monotonic()
        log.info("the context kernel is deployed", engine=self._options.engine, deployment=self._options.deployment)
        begin_serve(self._settings)
        application = self._build(self._options.model_dump(mode="json"))
        serve.run_many(
            [serve.RunTarget(target=application, name=APP, route_prefix=None)], wait_for_applications_running=False
        )


def told_of(seen: ApplicationStatusOverview) -> dict[str, JsonValue]:
    """What Serve says of the application."""
    replicas: dict[str, JsonValue] = {}
    for deployment in seen.deployments.values():
        for state, count in deployment.replica_states.items():
            replicas[str(state)] = int(str(replicas.get(str(state), 0))) + count
    complaints = [deployment.message for deployment in seen.deployments.values() if deployment.message]
    message = " ".join([seen.message, *complaints]).strip()
    return {"state": seen.status.value, "message": message[:WORDS], "replicas": replicas}
