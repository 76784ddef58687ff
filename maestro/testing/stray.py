"""A behaviour that nobody relies on: it is branched, joined, frozen and ended at any moment, and must take it.

Messages steer it, each with one wish: {"think": QUESTION}, {"spawn": POLICY}, {"timer_ms": N}, {"fail_until_s": T},
{"ask": ACTION, "ttl_ms": N, "on_timeout": OUTCOME}, {"wait": "reply" | "moment" | "children"}.
Its state has a field of every kind that a merge may meet.
"""

import asyncio
from typing import Annotated

from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.mail import Mail
from maestro.continuation.merging import Merge
from maestro.continuation.wait import ScheduledWake, WaitFor
from maestro.ids import TimeMs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

CHILD_LIVES_MS = 20_000
CHILD: JsonValue = {"lives_ms": CHILD_LIVES_MS}
"""What a child is told: one whose parent ends before its first tick does not know any more that it is one."""


class Path(BaseModel):
    """Where it has been."""

    heard: Annotated[int, Merge.SUM] = 0
    decisions: Annotated[list[str], Merge.CONCAT] = []
    asking: Annotated[dict[str, JsonValue] | None, Merge.OURS] = None
    last: str = ""
    """No law decides it: who was changed on both sides is asked about."""


class Stray(Behaviour[Path]):
    """Does as it is told, for as long as it lives."""

    name = "stray"

    async def start(self, tick: Tick[Path]) -> Closing | None:
        if isinstance(tick.about.input, dict):
            tick.set_timer("life", tick.now_ms + int(str(tick.about.input["lives_ms"])))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Path], message: Mail) -> Closing | None:
        wish, state = message.body if isinstance(message.body, dict) else {}, tick.state
        if asyncio.get_running_loop().time() < int(str(wish.get("fail_until_s", 0))):
            raise RuntimeError("failed, as told")
        state.heard, state.last = state.heard + 1, message.id
        if question := wish.get("think"):
            await tick.think(str(question), step="haiku", max_output_tokens=100)
        if policy := wish.get("spawn"):
            tick.spawn(
                Stray,
                goal="live a while",
                budget=tick.budget.share(0.1),
                input=CHILD,
                on_parent_end=str(policy),  # type: ignore[arg-type]
            )
        if ahead_ms := wish.get("timer_ms"):
            tick.set_timer("alarm", tick.now_ms + int(str(ahead_ms)))
        if "ask" in wish and state.asking is None:
            state.asking = wish
        return self._wait(tick, wish.get("wait")) or self._rest(tick)

    async def on_timer(self, tick: Tick[Path], timer_id: str) -> Closing | None:
        return Finish(result=tick.state.heard) if timer_id == "life" else self._rest(tick)

    async def on_child(self, tick: Tick[Path], child: Mail) -> Closing | None:
        return self._rest(tick)

    async def on_approval(self, tick: Tick[Path], approval: Mail) -> Closing | None:
        body = approval.body if isinstance(approval.body, dict) else {}
        tick.state.decisions.append(str(body.get("decision")))
        tick.state.asking = None
        return self._rest(tick)

    async def on_timeout(self, tick: Tick[Path], wait: WaitFor) -> Closing | None:
        tick.state.decisions.append("nobody came")
        tick.state.asking = None
        return self._rest(tick)

    async def on_cancel(self, tick: Tick[Path]) -> None:
        tick.state.last = "cancelled"

    def _wait(self, tick: Tick[Path], for_what: JsonValue) -> Closing | None:
        """A wait for one thing alone; whatever else comes meanwhile is unread until it is over."""
        match for_what:
            case "reply":
                return Wait.reply(f"what of {tick.state.last}?")
            case "moment":
                return Sleep(wait=ScheduledWake(wake_at_ms=TimeMs(tick.now_ms + CHILD_LIVES_MS)))
            case "children":
                child = tick.spawn(Stray, goal="live a while", budget=tick.budget.share(0.1), input=CHILD)
                return Wait.children(child)
            case _:
                return None

    def _rest(self, tick: Tick[Path]) -> Closing:
        asking = tick.state.asking
        if asking is None:
            return Sleep.until_woken()
        asked = tick.ask_approval(
            str(asking["ask"]),
            ttl_ms=int(str(asking["ttl_ms"])),
            on_timeout=str(asking["on_timeout"]),  # type: ignore[arg-type]
            on_denied="resume",
        )
        return Wait.any_of(asked, Sleep.until_woken())
