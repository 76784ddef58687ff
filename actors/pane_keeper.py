"""The keeper of the pane: Serve hosts the HTTP API, at /.

A port that somebody else has is told, and tried again; see `actors.on_serve`.
"""

from pydantic import JsonValue

from actors.serving import AppKeeper, Wanted
from maestro.settings import Settings

APP = "api"


class PaneKeeperActor(AppKeeper):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
        app: `module:function`, which makes the application from the settings.
    """

    def __init__(self, *, incarnation: str, settings: str, app: str) -> None:
        super().__init__(incarnation, "pane-keeper", Settings.from_json(settings))
        self._wanted = Wanted(APP, app, settings, route="/")

    async def told(self) -> dict[str, JsonValue]:
        """Where it is, in which state, with how many replicas in which states, and what Serve says of it."""
        return {"url": self.settings.pane_url, **await super().told()}

    def wanted(self) -> Wanted:
        return self._wanted
