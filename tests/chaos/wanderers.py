"""Continuations that wander from node to node: each message is a tick of some length with one deed outside.

The world outside is a folder: a deed is a file named by who did it for which message, so that it counts once however
often it is done; what was done again is seen by its lines.
"""

import asyncio
from pathlib import Path

from pydantic import BaseModel

from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.integration.tool_pair import both_here, weigh

TICK_S = 0.05


class Road(BaseModel):
    outside: str = ""
    steps: list[int] = []


class Wanderer(Behaviour[Road]):
    """Takes one step per message."""

    name = "wanderer"
    pool = "swarm"

    async def start(self, tick: Tick[Road]) -> Closing | None:
        tick.state.outside = str(tick.about.input)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Road], message: Mail) -> Closing | None:
        body = message.body if isinstance(message.body, dict) else {}
        step, seconds = int(str(body["step"])), float(str(body.get("for_s", TICK_S)))
        await asyncio.sleep(seconds / 2)
        with (Path(tick.state.outside) / f"{tick.id}.{step}").open("a") as deed:
            deed.write("done\n")
        await asyncio.sleep(seconds / 2)
        tick.state.steps.append(step)
        return Sleep.until_woken()


class Scales(BaseModel):
    weighed: int | None = None


class Weigher(Behaviour[Scales]):
    """Told of a folder, it weighs what another weighs at the same moment: neither asks before both are there."""

    name = "weigher"
    pool = "swarm"

    async def start(self, tick: Tick[Scales]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Scales], message: Mail) -> Closing | None:
        folder = str(message.body)
        await both_here(Path(folder), tick.id)
        tick.state.weighed = int(str(await tick.use(weigh, what="a stone", folder=folder)))
        return Sleep.until_woken()
