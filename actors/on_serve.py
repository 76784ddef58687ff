"""Serve, begun once per cluster, and one application that runs there: what a keeper has done in a thread of its own.

Invariants: whoever comes first begins Serve, with the same options as anybody else would: its HTTP proxy on loopback
where the pane is on, else no port at all; what runs already is left alone, whoever started it; a deployment that failed
is tried again after a minute.
What is not here: replicas that die, which Serve replaces by itself; the end: it goes with the cluster; and when to look
(`actors.serving`, which loads this by name, because that takes seconds, on a busy machine a minute).
"""

import importlib
from time import monotonic

import structlog
from pydantic import JsonValue
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from actors.serving import Away, Wanted
from maestro.settings import Settings

AGAIN_S = 60.0
WORDS = 300
AWAY = (RayError, RayServeException, TimeoutError, RuntimeError)
"""What a look may end in; RuntimeError is a port that somebody else has."""

log = structlog.get_logger()


class Host:
    """One application on Serve."""

    def __init__(self, wanted: Wanted, settings: Settings) -> None:
        module, _, name = wanted.build.partition(":")
        self._build = getattr(importlib.import_module(module), name)
        self._wanted, self._settings = wanted, settings
        self._deployed_at = -AGAIN_S

    def look(self) -> dict[str, JsonValue]:
        """What Serve says of it, which was told to run it where it did not.

        Raises:
            Away: Serve was not asked, or did not answer.
        """
        try:
            seen = self._seen()
            if self._is_to_be_deployed(seen):
                self._deploy()
                seen = self._seen()
        except AWAY as error:
            raise Away(repr(error)[:WORDS]) from error
        return {} if seen is None else _told_of(seen)

    def _seen(self) -> ApplicationStatusOverview | None:
        return serve.status().applications.get(self._wanted.app)

    def _is_to_be_deployed(self, seen: ApplicationStatusOverview | None) -> bool:
        if seen is None or seen.status == ApplicationStatus.NOT_STARTED:
            return True
        if seen.status == ApplicationStatus.DEPLOY_FAILED:
            return monotonic() - self._deployed_at > AGAIN_S
        other = self._wanted.deployment is not None and self._wanted.deployment not in seen.deployments
        return other and seen.status != ApplicationStatus.DELETING

    def _deploy(self) -> None:
        """Serve knows what is to run; loading a model takes as long as it takes."""
        self._deployed_at, wanted = monotonic(), self._wanted
        log.info("an application is deployed", app=wanted.app)
        _begin(self._settings)
        target = serve.RunTarget(self._build(wanted.given), name=wanted.app, route_prefix=wanted.route)
        serve.run_many([target], wait_for_applications_running=False)


def _begin(settings: Settings) -> None:
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
