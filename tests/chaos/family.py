"""Who lives in the chaos tests: a root whose first tick does everything, its child, and a friend who counts."""

from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.finding import Finding
from maestro.continuation.mail import Mail
from maestro.mesh.event import Event
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick

DOOMED = "doomed"
"""The pool of those whose process dies."""


class Story(BaseModel):
    answers: list[str] = []
    children: list[JsonValue] = []


class Kid(Behaviour[NoState]):
    name = "kid"
    pool = DOOMED

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Finish(result="grown")


class Everything(Behaviour[Story]):
    """Two effects and one of each outward act in one tick; it ends when its child did."""

    name = "everything"
    pool = DOOMED

    async def start(self, tick: Tick[Story]) -> Closing | None:
        tick.state.answers = [await tick.think("first"), await tick.think("second")]
        tick.spawn(Kid, goal="grow", budget=tick.budget.share(0.1))
        tick.publish("news.today", {"told": True})
        tick.send(str(tick.about.input), {"hello": True})
        tick.publish(Finding(title="both answers agree"))
        return Sleep.until_woken()

    async def on_child(self, tick: Tick[Story], child: Mail) -> Closing | None:
        tick.state.children.append(child.body)
        return Finish(result="all home")


class Heard(BaseModel):
    events: int = 0
    messages: int = 0


class Friend(Behaviour[Heard]):
    """Counts what reaches it."""

    name = "friend"

    async def start(self, tick: Tick[Heard]) -> Closing | None:
        tick.subscribe("news.>")
        return None

    async def on_event(self, tick: Tick[Heard], event: Event) -> Closing | None:
        tick.state.events += 1
        return None

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        tick.state.messages += 1
        return None
