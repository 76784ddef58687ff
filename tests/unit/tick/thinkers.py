"""A behaviour that thinks, and what user code did in the ticks of a test."""

import pytest
from pydantic import BaseModel

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import Stage

RICH = BudgetVector({"usd": 10_000_000, "tokens": 10_000_000})
RAN: list[str] = []
"""What user code did; emptied before each test."""


class Seen(BaseModel):
    answers: list[str] = []


class Thinker(Behaviour[Seen]):
    """Two thoughts at its start, one for each message; a message may carry its own question."""

    async def start(self, tick: Tick[Seen]) -> Closing | None:
        RAN.append("start")
        for question in ("first", "second"):
            tick.state.answers.append(await tick.think(question))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        RAN.append("message")
        tick.state.answers.append(await tick.think(str(message.body)))
        return None


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


async def retried(stage: Stage, ms: int) -> None:
    """The back-off is over."""
    await stage.advance(ms)
    await stage.timekeeper.step()
