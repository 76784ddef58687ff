"""A behaviour that keeps books on itself: it counts what reaches it, and finds what is missing, double or out of order.

Messages steer it, each with one deed: {"give": N, "to": ID}, {"think": QUESTION}, {"spawn": N}, {"timer_ms": N},
{"publish": KEY}, {"ask": ACTION}, {"doze_ms": N}, {"stumble_until_s": T}, {"finish": true}. A message from a person has
`seq`, counted per sender without a gap; so has a gift from a peer.

Invariant: units neither appear nor vanish: a gift leaves here with the commit and arrives there with another.
"""

import asyncio

from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.mail import Mail
from maestro.mesh.event import Event
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

CHILD_LIVES_MS = 30_000
SUBJECT, ECHO = "sim.a", "sim.echo"


class Books(BaseModel):
    """What a tally has seen and done."""

    units: int = 0
    last_seq: dict[str, int] = {}
    """Sender -> the number of its last message."""
    given: dict[str, int] = {}
    """Peer -> how many gifts went there."""
    events: list[str] = []
    published: list[str] = []
    timers_set: dict[str, int] = {}
    timers_fired: list[str] = []
    thoughts: int = 0
    asking: str | None = None
    decisions: list[str] = []
    spawned: int = 0
    children_ended: int = 0
    closing: bool = False
    wrong: list[str] = []
    """What should never have happened."""


class Tally(Behaviour[Books]):
    """Counts, and audits itself."""

    name = "tally"

    async def start(self, tick: Tick[Books]) -> Closing | None:
        wishes = _object(tick.about.input)
        tick.state.units = _number(wishes.get("units"))
        if tick.about.parent is not None:
            tick.set_timer("life", tick.now_ms + CHILD_LIVES_MS)
        else:
            tick.subscribe(SUBJECT)
            tick.subscribe(ECHO)
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Books], event: Event) -> Closing | None:
        if event.key in tick.state.events:
            tick.state.wrong.append(f"event {event.key} came twice")
        tick.state.events.append(event.key)
        return self._rest(tick)

    async def on_timer(self, tick: Tick[Books], timer_id: str) -> Closing | None:
        if timer_id == "life":
            return Finish(result={"units": tick.state.units})
        if timer_id in tick.state.timers_fired:
            tick.state.wrong.append(f"timer {timer_id} fired twice")
        if tick.now_ms < tick.state.timers_set[timer_id]:
            tick.state.wrong.append(f"timer {timer_id} fired early, at {tick.now_ms}")
        tick.state.timers_fired.append(timer_id)
        return self._rest(tick)

    async def on_child(self, tick: Tick[Books], child: Mail) -> Closing | None:
        tick.state.children_ended += 1
        if tick.state.children_ended > tick.state.spawned:
            tick.state.wrong.append(f"the end of {child.child} was told twice")
        tick.state.units += _number(_object(_object(child.body).get("result")).get("units"))
        return self._rest(tick)

    async def on_approval(self, tick: Tick[Books], approval: Mail) -> Closing | None:
        tick.state.decisions.append(str(_object(approval.body).get("decision")))
        tick.state.asking = None
        return self._rest(tick)

    async def on_message(self, tick: Tick[Books], message: Mail) -> Closing | None:
        deed, state = _object(message.body), tick.state
        if asyncio.get_running_loop().time() < _number(deed.get("stumble_until_s")):
            raise RuntimeError("stumbled, as told")
        await self._doze(_number(deed.get("doze_ms")))
        self._check_order(state, message.sender, _number(deed.get("seq")))
        state.units += _number(deed.get("gift"))
        if give := _number(deed.get("give")):
            self._give(tick, str(deed["to"]), give)
        if question := deed.get("think"):
            await tick.think(str(question), step="haiku", max_output_tokens=100)
            state.thoughts += 1
        if units := _number(deed.get("spawn")):
            tick.spawn(Tally, goal="hold units", budget=tick.budget.share(0.1), input={"units": units})
            state.units, state.spawned = state.units - units, state.spawned + 1
        if (ahead_ms := _number(deed.get("timer_ms"))) and ahead_ms:
            name = f"t{len(state.timers_set)}"
            state.timers_set[name] = tick.now_ms + ahead_ms
            tick.set_timer(name, tick.now_ms + ahead_ms)
        if key := deed.get("publish"):
            tick.publish(ECHO, {"from": tick.id}, key=str(key))
            state.published.append(str(key))
        if action := deed.get("ask"):
            state.asking = state.asking or str(action)
        state.closing = state.closing or deed.get("finish") is True
        return self._rest(tick)

    async def _doze(self, pause_ms: int) -> None:
        if pause_ms:
            await asyncio.sleep(pause_ms / 1000)

    def _check_order(self, state: Books, sender: str, seq: int) -> None:
        last = state.last_seq.get(sender, 0)
        if seq != last + 1:
            state.wrong.append(f"message {seq} of {sender} came after {last}")
        state.last_seq[sender] = seq

    def _give(self, tick: Tick[Books], peer: str, units: int) -> None:
        tick.state.given[peer] = tick.state.given.get(peer, 0) + 1
        tick.state.units -= units
        tick.send(peer, {"seq": tick.state.given[peer], "gift": units})

    def _rest(self, tick: Tick[Books]) -> Closing:
        """Asleep; done when it was told to close and its last child has ended."""
        state = tick.state
        if state.closing and state.children_ended == state.spawned:
            return Finish(result={"units": state.units})
        if state.asking is not None:
            asked = tick.ask_approval(state.asking, on_denied="resume", on_timeout="deny")
            return Wait.any_of(asked, Sleep.until_woken())
        return Sleep.until_woken()


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
