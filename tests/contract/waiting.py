"""What the tests of waits share: behaviours that ask and wake, and a stage for them."""

from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import Bounds
from maestro.continuation.checkpoint import LogRecord
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import (
    ApprovalResolution,
    ExternalResult,
    UserReply,
    WaitFor,
    parts,
)
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import Stage

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RAN: list[str] = []
"""What user code did; emptied before each test."""


class Notes(BaseModel):
    seen: list[str] = []
    filling: str = ""


class Asks(Behaviour[Notes]):
    """Goes to sleep as its input says, and writes down whatever it is woken for."""

    async def start(self, tick: Tick[Notes]) -> Closing | None:
        return self._rest(tick)

    async def on_message(self, tick: Tick[Notes], message: Mail) -> Closing | None:
        RAN.append("message")
        if message.body == "again":
            return self._rest(tick)
        if isinstance(message.body, dict) and "fill" in message.body:
            tick.state.filling = "x" * int(str(message.body["fill"]))
            return None
        tick.state.seen.append(f"message {message.body}")
        return self._rest(tick)

    async def on_reply(self, tick: Tick[Notes], reply: Mail) -> Closing | None:
        RAN.append("reply")
        tick.state.seen.append("reply")
        return self._rest(tick)

    async def on_approval(self, tick: Tick[Notes], approval: Mail) -> Closing | None:
        assert isinstance(approval.body, dict)
        RAN.append("approval")
        tick.state.seen.append(str(approval.body["decision"]))
        if "arguments" in approval.body:
            tick.state.seen.append(str(approval.body["arguments"]))
        return Finish()

    async def on_timeout(self, tick: Tick[Notes], wait: WaitFor) -> Closing | None:
        RAN.append("timeout")
        tick.state.seen.append(f"no {wait.type}")
        return None

    async def on_timer(self, tick: Tick[Notes], timer_id: str) -> Closing | None:
        RAN.append("timer")
        return None

    def _rest(self, tick: Tick[Notes]) -> Closing:
        wishes: dict[str, Any] = tick.about.input if isinstance(tick.about.input, dict) else {}
        how = str(wishes.get("how"))
        if how == "approval":
            return tick.ask_approval("buy", {"usd": 5}, **{k: v for k, v in wishes.items() if k != "how"})
        if how == "approval or anything":
            asked = tick.ask_approval("buy", {"usd": 5}, on_denied="resume", on_timeout="deny")
            return Wait.any_of(asked, Sleep.until_woken())
        if how == "wake":
            return Sleep.until(tick.now_ms + 21 * DAY_MS)
        if how == "result":
            return Sleep(wait=ExternalResult(operation_id="op", **{k: v for k, v in wishes.items() if k != "how"}))
        return Sleep(wait=UserReply(question_id="q", question="?", **{k: v for k, v in wishes.items() if k != "how"}))


class Wakes(Behaviour[Notes]):
    """Has a timer each hour, caught up with as its input says."""

    async def start(self, tick: Tick[Notes]) -> Closing | None:
        tick.every("beat", HOUR_MS, catch_up=str(tick.about.input))  # type: ignore[arg-type]
        return None

    async def run(self, tick: Tick[Notes]) -> Closing | None:
        for mail in tick.inbox:
            if mail.kind is Kind.TIMER and isinstance(mail.body, dict):
                RAN.append(f"{mail.body['missed']}")
                assert int(str(mail.body["due_ms"])) <= tick.now_ms
        return await super().run(tick)


class Parents(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        for _ in range(int(str(tick.about.input))):
            tick.spawn(Asks, goal="wait", budget=BudgetVector({}), input={"how": "result"})
        return None


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


@pytest.fixture
async def stage(backend: Backend) -> Stage:
    return Stage(backend, Asks, Wakes, Parents)


async def begun(stage: Stage, bounds: Bounds | None = None, **wishes: JsonValue) -> ContinuationId:
    cid = await stage.start(Asks, input=wishes, bounds=bounds or Bounds())
    await stage.settle()
    RAN.clear()
    return cid


async def later(stage: Stage, ms: int) -> None:
    await stage.advance(ms)
    await stage.settle()


async def last(stage: Stage, cid: ContinuationId) -> LogRecord:
    return (await verbs.records(stage.at, cid))[-1]


async def approval_of(stage: Stage, cid: ContinuationId) -> ApprovalResolution:
    wait = (await stage.checkpoint(cid)).wait
    assert wait is not None
    return next(part for part in parts(wait) if isinstance(part, ApprovalResolution))
