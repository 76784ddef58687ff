"""The keeper of the pane: Serve hosts the HTTP API, at /.

A port that somebody else has is told, and tried again; see `actors.serving`.
"""

import importlib
from collections.abc import Callable

from pydantic import JsonValue
from ray import serve
from ray.serve import Application

from actors.serving import AppKeeper
from maestro.settings import Settings

APP = "api"


class PaneKeeperActor(AppKeeper):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
        app: `module:function`, which makes the application from the settings.
    """

    def __init__(self, *, incarnation: str, settings: str, app: str) -> None:
        super().__init__(incarnation, "pane-keeper", APP, Settings.from_json(settings))
        module, _, name = app.partition(":")
        self._build: Callable[[str], Application] = getattr(importlib.import_module(module), name)

    async def told(self) -> dict[str, JsonValue]:
        """Where it is, in which state, with how many replicas in which states, and what Serve says of it."""
        return {"url": self.settings.pane_url, **await super().told()}

    def target(self) -> serve.RunTarget:
        return serve.RunTarget(self._build(self.settings.to_json()), name=APP, route_prefix="/")
