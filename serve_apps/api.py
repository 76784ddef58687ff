"""The HTTP API as a Serve deployment: one replica, behind Serve's own proxy on loopback.

    MAESTRO_PANE=serve maestro up

Invariants: the replica holds nothing that is not in the store, so that the next one goes on where it was: clients
resume by their cursors; it asks for no CPU of Ray's books, because it mostly waits.
What is not here: the API itself (`maestro.gateway`), and who keeps it deployed (`actors.pane_keeper`).
"""

import asyncio
from collections.abc import Mapping
from time import monotonic

import ray
from pydantic import JsonValue
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application

from maestro.gateway.app import Opening
from maestro.hosting import open_gateway
from maestro.settings import Settings

APP, DEPLOYMENT = "api", "Api"
STREAMS = 2_000  # requests of one replica at once; each open stream is one
HEALTH_PERIOD_S, HEALTH_TIMEOUT_S = 5.0, 30.0
NAMESPACE, ROOT, TIMEKEEPER = "maestro", "root", "timekeeper"
ANSWER_S, FRESH_S = 5.0, 2.0


class Api:
    """One replica.

    Args:
        settings: `Settings.to_json()`.
    """

    def __init__(self, settings: str) -> None:
        self._settings = Settings.from_json(settings)
        self._plant = Plant()

    def __serve_build_asgi_app__(self) -> Opening:
        """What Serve asks for the application by; it is opened with the replica."""
        return Opening(lambda: open_gateway(self._settings, self._plant))


class Plant:
    """What only Ray knows, asked for at most once in FRESH_S."""

    def __init__(self) -> None:
        self._told: dict[str, JsonValue] = {}
        self._told_at = -FRESH_S

    async def __call__(self) -> Mapping[str, JsonValue]:
        """The supervisor tree, and how late the latest timer was; without what does not answer."""
        if monotonic() - self._told_at > FRESH_S:
            tree, figures = await asyncio.gather(_asked(ROOT, "tree"), _asked(TIMEKEEPER, "figures"))
            lateness = figures.get("worst_lateness_ms") if isinstance(figures, dict) else None
            self._told, self._told_at = {"supervisors": tree, "lateness_ms": lateness}, monotonic()
        return self._told


async def _asked(actor: str, method: str) -> JsonValue:
    try:
        handle = await asyncio.to_thread(ray.get_actor, actor, NAMESPACE)
        told: JsonValue = await asyncio.wait_for(getattr(handle, method).remote(), ANSWER_S)
    except (ValueError, RayError, TimeoutError):
        return None
    return told


def build(settings: str) -> Application:
    """The application of one installation."""
    deployment = serve.deployment(
        name=DEPLOYMENT,
        num_replicas=1,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=STREAMS,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        graceful_shutdown_timeout_s=5,
    )(serve.ingress()(Api))
    return deployment.bind(settings)
