"""Continuations that queue for a place: each says when its tick begins, in a file that all of them share."""

import asyncio
from pathlib import Path

from pydantic import BaseModel

from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

THOUGHT_S = 0.02  # a crowd of these is more than one actor gets through before it is given company


class Seen(BaseModel):
    messages: int = 0


class Queuer(Behaviour[Seen]):
    """A message's body is the file."""

    name = "queuer"

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        with Path(str(message.body)).open("a") as file:  # noqa: ASYNC230 - one short line, at once
            file.write(f"{tick.id}\n")
        await asyncio.sleep(THOUGHT_S)
        tick.state.messages += 1
        return Sleep.until_woken()
