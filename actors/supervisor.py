"""The supervisor actor: detached, named `supervisor/<id>`, itself an ordinary child of another supervisor.

`watch()` returns when it was stopped in order and raises `EndedByShutdown` when it gave up: its parent decides then.
"""

from functools import partial

from pydantic import JsonValue

from actors import tree
from actors.exits import EndedByShutdown
from actors.lifecycle import Lifecycle
from actors.names import actor_name
from actors.obituary import Obituaries
from actors.supervising import Supervising
from maestro import telemetry
from maestro.supervision import machine
from maestro.supervision.spec import child_spec

SUPERVISOR = "actors.supervisor:SupervisorActor"


class SupervisorActor:
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

    async def tree(self) -> dict[str, JsonValue]:
        """This supervisor and all below it: states, processes, restarts, last exits."""
        return await tree.whole(self._spec, self._life, self._supervising)

    async def which_children(self) -> list[JsonValue]:
        """Id, incarnation, type and state of every child, in start order."""
        return tree.flat(self._supervising)

    async def start_child(self, spec_json: str) -> None:
        """The child that `spec_json` describes runs, as the last one; a failed start leaves nothing."""
        await self._supervising.ask(partial(machine.start_child, spec=child_spec(spec_json)))

    async def terminate_child(self, child_id: str) -> None:
        """The child is stopped and stays so."""
        await self._supervising.ask(partial(machine.terminate_child, child_id=child_id))

    async def restart_child(self, child_id: str) -> None:
        """A child that was stopped runs again."""
        await self._supervising.ask(partial(machine.restart_child, child_id=child_id))

    async def delete_child(self, child_id: str) -> None:
        """A child that was stopped is forgotten."""
        await self._supervising.ask(lambda state: (machine.delete_child(state, child_id), ()))

    async def _supervise(self) -> None:
        if (reason := await self._supervising.run()) is not None:
            raise EndedByShutdown(reason)
