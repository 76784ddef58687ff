"""A behaviour whose answers are told while they are written."""

from pydantic import BaseModel

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick


class Nothing(BaseModel):
    pass


class Teller(Behaviour[Nothing]):
    async def start(self, tick: Tick[Nothing]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Nothing], message: Mail) -> Closing | None:
        said = await tick.think(str(message.body), stream=True)
        return Finish(result=said) if message.body == "the last" else Sleep.until_woken()
