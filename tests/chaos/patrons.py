"""Processes that draw on accounts, or keep them, and end by SIGKILL at a step of their choice: `live` is a whole life.

A step is a call of a port between account and family. Its name is in a file before the process dies at it.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Mail
from maestro.errors import BudgetExceededError, Conflict
from maestro.ids import ContinuationId, TenantId
from maestro.runtime import steer, verbs
from maestro.runtime.backend import Backend
from maestro.runtime.treasury import GRACE_MS, Treasury
from maestro.runtime.verbs import Installation, Start
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import PLENTY, SEAL

PORTS = ("accounts", "store", "steering")
SLICE = BudgetVector({"usd": 100_000, "tokens": 10_000, "expensive_model_calls": 3})


class Reader(Behaviour[NoState]):
    """Thinks once, then does as it is told."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("is it so?", max_output_tokens=10)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        if message.subject == "spawn":
            tick.spawn(Reader, goal="more", budget=tick.budget.share(0.25))
            return None
        return Finish()


@dataclass(frozen=True, slots=True)
class Patron:
    """What a process does, and at which of its steps it dies."""

    url: str
    tenant: str
    partitions: int
    act: Literal["start", "more", "keep", "crowd", "keep on"]
    last_word: Path
    """The file for the name of the step that it dies at."""
    dies: int = 0
    """The number of the step, from 1; 0 lets it live."""
    after: bool = False
    """The step is done, and nobody hears of it."""
    cid: str = ""
    count: int = 1
    grace_ms: int = GRACE_MS


class Mortal:
    """A port whose steps are counted, together with those of its siblings."""

    def __init__(self, port: object, name: str, patron: Patron, steps: "itertools.count[int]") -> None:
        self._port, self._name, self._patron, self._steps = port, name, patron, steps

    def __getattr__(self, method: str) -> Callable[..., Any]:
        made, patron = getattr(self._port, method), self._patron

        async def call(*arguments: Any, **named: Any) -> Any:
            dies = next(self._steps) == patron.dies
            if dies:
                patron.last_word.write_text(f"{self._name}.{method}")
            if dies and not patron.after:
                os.kill(os.getpid(), signal.SIGKILL)
            reply = await made(*arguments, **named)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            return reply

        return call


def live(patron: Patron) -> None:
    """One life."""
    asyncio.run(_live(patron))


async def _live(patron: Patron) -> None:
    backend = await open_backend(patron.url, TenantId(patron.tenant), patron.partitions, virtual=True)
    steps = itertools.count(1)
    whole = {field.name: getattr(backend, field.name) for field in fields(Backend)}
    mortal = Backend(**whole | {name: Mortal(whole[name], name, patron, steps) for name in PORTS})
    at = Installation(mortal, SEAL, PLENTY)
    match patron.act:
        case "start":
            await _start(at, 0)
        case "more":
            await steer.rebudget(at, ContinuationId(patron.cid), SLICE, key=f"more {patron.dies} {patron.after}")
        case "crowd":
            await asyncio.gather(*(_start(at, number) for number in range(patron.count)))
        case "keep":
            await Treasury(mortal, patron.grace_ms).look()
        case "keep on":
            for _ in range(patron.count):
                await Treasury(mortal, patron.grace_ms).look()
    await backend.close()


async def _start(at: Installation, number: int) -> None:
    asked = Start(Reader.name, GoalFrame(goal="a test"), SLICE, account=f"acme/key-{number % 3}/reading")
    with suppress(BudgetExceededError, Conflict):  # the limit; or a keeper in a hurry has given it up
        await verbs.start(at, asked)
