"""The keeper of the context kernel: Serve runs the engine that the settings ask for.

Invariants, beside those of `actors.on_serve`: what runs with other options is replaced; it has no HTTP route.
"""

from pydantic import JsonValue

from actors.serving import AppKeeper, Wanted
from maestro.field.kernel import APP
from maestro.settings import Settings


class KernelKeeperActor(AppKeeper):
    """One per cluster.

    Args:
        settings: `Settings.to_json()`.
        app: `module:function`, which makes the application from the options.
    """

    def __init__(self, *, incarnation: str, settings: str, app: str) -> None:
        super().__init__(incarnation, "kernel-keeper", Settings.from_json(settings))
        options = self.settings.kernel_options
        self._engine = options.engine
        self._wanted = Wanted(APP, app, options.model_dump(mode="json"), deployment=options.deployment)

    async def told(self) -> dict[str, JsonValue]:
        """Which engine, in which state, with how many replicas in which states, and what Serve says of it."""
        return {"engine": self._engine, **await super().told()}

    def wanted(self) -> Wanted:
        return self._wanted
