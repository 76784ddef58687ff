"""Serve, begun once per cluster, and whoever keeps an application deployed there.

Invariants: whoever comes first begins Serve, with the same options as anybody else would: its HTTP proxy on loopback
where the pane is on, else no port at all; what runs already is left alone, whoever started it; a deployment that failed
is tried again after a minute; what goes wrong is told, and nothing else of the installation waits for it.
What is not here: replicas that die, which Serve replaces by itself; and the end: it goes with the cluster.
"""

import asyncio
from abc import abstractmethod
from time import monotonic

import structlog
from pydantic import JsonValue
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from actors.supervised import Supervised
from maestro import bootstrap
from maestro.runtime.loops import keep
from maestro.settings import Settings

LOOK_MS = 2_000
AGAIN_S = 60.0
WORDS = 300
AWAY = (RayError, RayServeException, TimeoutError, RuntimeError)
"""What a look may end in; RuntimeError is a port that somebody else has."""

log = structlog.get_logger()


class AppKeeper(Supervised):
    """Keeps one application of Serve; who derives from it says which.

    Args:
        name: of the keeper, in the log.
        app: of the application.
        settings: those of the installation.
    """

    def __init__(self, incarnation: str, name: str, app: str, settings: Settings) -> None:
        super().__init__(incarnation)
        self.settings = settings
        self._name, self._app = name, app
        bootstrap.enter_process(settings, name)
        self._told: dict[str, JsonValue] = {"state": "NOT_STARTED", "message": "", "replicas": {}}
        self._deployed_at = -AGAIN_S

    @abstractmethod
    def target(self) -> serve.RunTarget:
        """What Serve is to run."""

    def is_other(self, seen: ApplicationStatusOverview) -> bool:
        """What Serve runs is not what the settings ask for."""
        return False

    async def told(self) -> dict[str, JsonValue]:
        """In which state it is, with how many replicas in which states, and what Serve says of it."""
        return {"app": self._app, **self._told}

    async def work(self) -> None:
        async def step() -> int:
            try:
                await asyncio.to_thread(self._look)
            except AWAY as error:
                self._told = {**self._told, "state": "UNKNOWN", "message": repr(error)[:WORDS]}
                log.warning("Serve was not looked at", keeper=self._name, error=repr(error)[:WORDS])
            return LOOK_MS

        await keep(self._name, step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

    def _look(self) -> None:
        seen = serve.status().applications.get(self._app)
        if self._is_to_be_deployed(seen):
            self._deploy()
            seen = serve.status().applications.get(self._app)
        if seen is not None:
            self._told = _told_of(seen)

    def _is_to_be_deployed(self, seen: ApplicationStatusOverview | None) -> bool:
        if seen is None or seen.status == ApplicationStatus.NOT_STARTED:
            return True
        if seen.status == ApplicationStatus.DEPLOY_FAILED:
            return monotonic() - self._deployed_at > AGAIN_S
        return seen.status != ApplicationStatus.DELETING and self.is_other(seen)

    def _deploy(self) -> None:
        """Serve knows what is to run; loading a model takes as long as it takes."""
        self._deployed_at = monotonic()
        log.info("an application is deployed", keeper=self._name, app=self._app)
        begin_serve(self.settings)
        serve.run_many([self.target()], wait_for_applications_running=False)


def begin_serve(settings: Settings) -> None:
    """Serve runs."""
    if settings.pane != "serve":
        serve.start(proxy_location="Disabled")
    else:
        serve.start(proxy_location="HeadOnly", http_options={"host": settings.pane_host, "port": settings.pane_port})


def _told_of(seen: ApplicationStatusOverview) -> dict[str, JsonValue]:
    """What Serve says of the application."""
    replicas: dict[str, JsonValue] = {}
    for deployment in seen.deployments.values():
        for state, count in deployment.replica_states.items():
            replicas[str(state)] = int(str(replicas.get(str(state), 0))) + count
    complaints = [deployment.message for deployment in seen.deployments.values() if deployment.message]
    message = " ".join([seen.message, *complaints]).strip()
    return {"state": seen.status.value, "message": message[:WORDS], "replicas": replicas}
