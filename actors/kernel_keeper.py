"""The keeper of the context kernel: Serve runs the engine that the settings ask for.

Invariants, beside those of `actors.serving`: what runs with other options is replaced; it has no HTTP route.
"""

import importlib
from collections.abc import Callable, Mapping

from pydantic import JsonValue
from ray import serve
from ray.serve import Application
from ray.serve.schema import ApplicationStatusOverview

from actors.serving import AppKeeper
from maestro.field.kernel import APP
from maestro.settings import Settings

Build = Callable[[Mapping[str, object]], Application]


class KernelKeeperActor(AppKeeper):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
        app: `module:function`, which makes the application from the options.
    """

    def __init__(self, *, incarnation: str, settings: str, app: str) -> None:
        super().__init__(incarnation, "kernel-keeper", APP, Settings.from_json(settings))
        module, _, name = app.partition(":")
        self._build: Build = getattr(importlib.import_module(module), name)
        self._options = self.settings.kernel_options

    async def told(self) -> dict[str, JsonValue]:
        """Which engine, in which state, with how many replicas in which states, and what Serve says of it."""
        return {"engine": self._options.engine, **await super().told()}

    def target(self) -> serve.RunTarget:
        return serve.RunTarget(self._build(self._options.model_dump(mode="json")), name=APP, route_prefix=None)

    def is_other(self, seen: ApplicationStatusOverview) -> bool:
        return self._options.deployment not in seen.deployments
