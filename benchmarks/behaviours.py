"""The behaviours that are measured. Each keeps 1 KB of state, and in it what it saw, so that any process can run it.

Times are `time.monotonic()`, which all processes of one machine share; timers are judged on the wall clock, as the
store's are.
"""

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.continuation.wait import Children
from maestro.mesh.event import Event
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

STATE_BYTES = 1_000
PADDING = "".join(chr(ord("a") + position * 7 % 26) for position in range(STATE_BYTES))


class Seen(BaseModel):
    """A kilobyte of notes, and what was measured."""

    n: int = 0
    notes: str = ""
    seconds: list[float] = []
    """How long after it was sent, or due, each thing was seen by this code."""


class Asker(Behaviour[Seen]):
    """Asks one question that nobody waits for with a process, and sleeps."""

    name = "bench-asker"
    pool = "swarm"

    async def start(self, tick: Tick[Seen]) -> Closing | None:
        tick.state.notes = await tick.think("What of it?", step="haiku", max_output_tokens=100, mode="async")
        tick.state.n += 1
        return Sleep.until_woken()


class Sleeper(Behaviour[Seen]):
    """Sleeps until its event, a message or its timers; its input names subject and due times."""

    name = "bench-sleeper"
    pool = "swarm"

    async def start(self, tick: Tick[Seen]) -> Closing | None:
        wishes = tick.about.input if isinstance(tick.about.input, dict) else {}
        if subject := wishes.get("subject"):
            tick.subscribe(str(subject))
        for number in range(int(str(wishes.get("timers", 0)))):
            tick.set_timer(f"t{number}", int(str(wishes["first_due_ms"])) + number * int(str(wishes["every_ms"])))
        tick.state.notes = PADDING
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Seen], event: Event) -> Closing | None:
        tick.state.n += 1
        if isinstance(event.payload, dict):
            tick.state.seconds = [time.monotonic() - float(str(event.payload["sent"]))]
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        tick.state.n += 1
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[Seen], timer_id: str) -> Closing | None:
        wishes = tick.about.input if isinstance(tick.about.input, dict) else {}
        due_ms = int(str(wishes["first_due_ms"])) + int(timer_id[1:]) * int(str(wishes["every_ms"]))
        tick.state.n += 1
        tick.state.seconds.append(time.time() - due_ms / 1_000)
        return Sleep.until_woken()


class Waiter(Behaviour[Seen]):
    """Is awake for as long as a message says, and does nothing in that time, as who waits for a model."""

    name = "bench-waiter"

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        await asyncio.sleep(float(str(message.body)))
        tick.state.n += 1
        return Sleep.until_woken()


class Branch(Behaviour[Seen]):
    """Spawns `widths[0]` children that each spawn `widths[1]` ..., waits for all of its own, and ends."""

    name = "bench-branch"
    pool = "swarm"

    async def start(self, tick: Tick[Seen]) -> Closing | None:
        tick.state.notes = PADDING
        widths = list(tick.about.input) if isinstance(tick.about.input, list) else []
        if not widths:
            return Finish(result=1)
        width = int(str(widths[0]))
        children = [
            tick.spawn(Branch, goal="a part of it", budget=BudgetVector({}), input=widths[1:]) for _ in range(width)
        ]
        return Sleep(wait=Children(ids=tuple(children), needed=width))

    async def on_child(self, tick: Tick[Seen], child: Mail) -> Closing | None:
        tick.state.n += 1
        ended = sum(mail.kind == "child" for mail in tick.inbox)
        return Finish(result=ended) if tick.state.n == ended else None


class Worker(Behaviour[Seen]):
    """Works for a while in each tick, and leaves a line in a file when it begins: a killed tick can commit nothing."""

    name = "bench-worker"

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        assert isinstance(message.body, dict)
        leave_word(Path(str(message.body["file"])))
        tick.state.n += 1
        await asyncio.sleep(float(str(message.body["work_s"])))
        return Sleep.until_woken()


def leave_word(file: Path) -> None:
    """Who works, and since when, stands as the last line of `file`."""
    with file.open("a") as words:
        words.write(f"{os.getpid()} {time.monotonic()}\n")


def children_of(widths: list[int]) -> int:
    """How many leaves a Branch with these widths has."""
    leaves = 1
    for width in widths:
        leaves *= width
    return leaves
