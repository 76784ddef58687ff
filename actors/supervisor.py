"""The supervisor actor: detached, named `supervisor/<id>`, itself an ordinary child of another supervisor.

`watch()` returns when it was stopped in order and raises `EndedByShutdown` when it gave up: its parent decides then.
"""

from pydantic import JsonValue

from actors.administered import Administered
from actors.exits import EndedByShutdown
from actors.lifecycle import Lifecycle
from actors.names import actor_name
from actors.obituary import Obituaries
from actors.supervising import Supervising
from maestro import telemetry
from maestro.supervision.spec import child_spec

SUPERVISOR = "actors.supervisor:SupervisorActor"


class SupervisorActor(Administered):
    """Starts what its spec says, and keeps it so.

    Args:
        spec: its own ChildSpec as JSON, with all below it.
        obituary: `module:async_function`, told (incarnation, reason) of every child that ended.
    """

    def __init__(self, *, incarnation: str, spec: str, obituary: str | None = None) -> None:
        self._spec = child_spec(spec)
        telemetry.configure(process=actor_name(self._spec))
        self._supervising = Supervising(actor_name(self._spec), self._spec, Obituaries(obituary))
        self._life = Lifecycle(incarnation)
        self._life.run(self._supervise())

    async def ready(self) -> dict[str, JsonValue]:
        await self._supervising.up()
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        self._supervising.stop()
        await self._life.ended()

    async def _supervise(self) -> None:
        if (reason := await self._supervising.run()) is not None:
            raise EndedByShutdown(reason)
