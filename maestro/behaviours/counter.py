"""A behaviour for tests and benchmarks: it counts what wakes it.

Messages steer it: {"subscribe": PATTERN}, {"spawn": GOAL, "share": 0.2}, {"timer": DUE_MS}, {"think": QUESTION},
{"ask": ACTION}, {"fail": TEXT}, {"finish": true}, {"sleep_ms": N}; anything else only counts.
"""

import asyncio

from pydantic import BaseModel

from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.mail import Mail
from maestro.mesh.event import Event
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick


class Count(BaseModel):
    """What it has seen; `padding` gives the state a size."""

    n: int = 0
    events: int = 0
    timers: int = 0
    children_ended: int = 0
    decisions: list[str] = []
    answers: list[str] = []
    padding: str = ""


class Counter(Behaviour[Count]):
    """Counts."""

    name = "counter"

    async def start(self, tick: Tick[Count]) -> Closing | None:
        wishes = tick.about.input if isinstance(tick.about.input, dict) else {}
        if pattern := wishes.get("subscribe"):
            relevance = wishes.get("relevance")
            tick.subscribe(str(pattern), relevance=relevance if isinstance(relevance, float) else None)
        tick.state.padding = "x" * int(str(wishes.get("padding_bytes", 0)))
        return Finish(result=None) if wishes.get("finish") else Sleep.until_woken()

    async def on_event(self, tick: Tick[Count], event: Event) -> Closing | None:
        tick.state.events += 1
        tick.state.n += 1
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[Count], timer_id: str) -> Closing | None:
        tick.state.timers += 1
        return Sleep.until_woken()

    async def on_child(self, tick: Tick[Count], child: Mail) -> Closing | None:
        tick.state.children_ended += 1
        return Sleep.until_woken()

    async def on_approval(self, tick: Tick[Count], approval: Mail) -> Closing | None:
        body = approval.body if isinstance(approval.body, dict) else {}
        tick.state.decisions.append(str(body.get("decision")))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Count], message: Mail) -> Closing | None:
        tick.state.n += 1
        order = message.body if isinstance(message.body, dict) else {}
        if "fail" in order:
            raise RuntimeError(str(order["fail"]))
        if pattern := order.get("subscribe"):
            tick.subscribe(str(pattern))
        if goal := order.get("spawn"):
            tick.spawn(
                Counter,
                goal=str(goal),
                budget=tick.budget.share(float(str(order.get("share", 0.2)))),
                input=order.get("input"),
            )
        if due_ms := order.get("timer"):
            tick.set_timer("alarm", int(str(due_ms)))
        if question := order.get("think"):
            tick.state.answers.append(await tick.think(str(question)))
        if pause_ms := order.get("sleep_ms"):
            await asyncio.sleep(int(str(pause_ms)) / 1000)
        if action := order.get("ask"):
            asked = tick.ask_approval(str(action), on_denied="resume", on_timeout="deny")
            return Wait.any_of(asked, Sleep.until_woken())
        return Finish(result={"n": tick.state.n}) if order.get("finish") else Sleep.until_woken()
