"""Your own actors in the tree: a class to derive from, and how they are started with everything else.

    from actors.supervised import Supervised

    class Thermometer(Supervised):
        def __init__(self, *, incarnation: str, place: str) -> None:
            super().__init__(incarnation)
            self.place = place

        async def work(self) -> None:
            while True:
                ...

    SUPERVISED = [ChildSpec(id="thermometer/kitchen", start="my_app:Thermometer", args={"place": "kitchen"})]

`MAESTRO_SUPERVISED=my_app:SUPERVISED` puts those specs below the supervisor `own`, at each `maestro up`; at run time
`Maestro.supervise(spec)` adds one, for as long as this cluster lives. A class that derives from nothing will do as
well: it is async, takes `incarnation` as a keyword, and has `ready()`, `watch()` and `stop(reason)`.

A ChildSpec of type supervisor with `start=SUPERVISOR` groups yours: its own strategy, intensity, significant children.
How `work` ends is how the child ends: returning is `normal`, `EndedByShutdown` is `shutdown`, anything else `error`.
"""

import importlib
from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from actors.exits import EndedByShutdown, Ignore
from actors.lifecycle import Lifecycle
from actors.names import OWN
from actors.supervisor import SUPERVISOR
from maestro.errors import InvalidInput
from maestro.supervision import ChildSpec, Intensity, Pace

__all__ = ["SUPERVISOR", "EndedByShutdown", "Ignore", "Supervised", "own_specs", "own_supervisor"]


class Supervised:
    """One incarnation of an actor of your own."""

    def __init__(self, incarnation: str) -> None:
        self.life = Lifecycle(incarnation)
        self.life.run(self._begin())

    async def work(self) -> None:
        """What it does; without a body of its own it serves its methods until it is stopped."""
        await self.life.stopping.wait()

    async def ready(self) -> dict[str, JsonValue]:
        """It can be used; whoever overrides this calls it last. `Ignore` leaves the child out."""
        return self.life.identity()

    async def watch(self) -> None:
        """Returns or raises as its life ends."""
        await self.life.ended()

    async def stop(self, reason: str) -> None:
        """Its work is cancelled and gone."""
        await self.life.stop(reason)

    async def _begin(self) -> None:
        await self.work()  # not in the constructor: that of the deriving class has not run to its end yet


def own_supervisor(specs: Sequence[ChildSpec] = ()) -> ChildSpec:
    """The supervisor of your actors: having given up it stays down and shows why; the rest of the tree goes on."""
    return ChildSpec(
        id=OWN,
        start=SUPERVISOR,
        type="supervisor",
        restart="transient",
        intensity=Intensity(max_restarts=5, max_seconds=60),
        pace=Pace(at_once=4, per_second=1),
        children=tuple(specs),
    )


def own_specs(paths: Iterable[str]) -> tuple[ChildSpec, ...]:
    """The child specs that `module:NAME` hold, one or a list each.

    Raises:
        InvalidInput: there is nothing of that name, or it is no child spec.
    """
    found: list[ChildSpec] = []
    for path in paths:
        module, _, name = path.partition(":")
        try:
            held: object = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"{path}: {error}", field="supervised", hint="set MAESTRO_SUPERVISED") from error
        specs = [held] if isinstance(held, ChildSpec) else held
        if not isinstance(specs, list | tuple) or not all(isinstance(spec, ChildSpec) for spec in specs):
            raise InvalidInput(f"{path} is no ChildSpec and no list of them", field="supervised")
        found += specs
    return tuple(found)
