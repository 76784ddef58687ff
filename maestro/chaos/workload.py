"""A behaviour that keeps books on all that reaches it, and a tool whose executions the world outside counts.

A message from a person or a peer carries `seq`, counted per sender without a gap, and any of {"gift": N},
{"give": N, "to": ID}, {"timer_ms": N}, {"publish": KEY}, {"credit": URL}, {"pay": URL}, {"think": QUESTION},
{"spawn": N}, {"spin_s": S}. What it notes stands in its checkpoint, and so in every export: the checker compares it
with what was acknowledged, with what others gave, and with what the world outside has seen.

Invariant: units neither appear nor vanish: a gift leaves here with one commit and arrives there with another.
"""

import asyncio
import json
import urllib.request
from typing import Any

from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import ToolError
from maestro.mesh.event import Event
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.spec import tool

SUBJECT, ECHO = "chaos.count", "chaos.echo"
CHILD_LIVES_MS = 3_000
OUTSIDE_S = 10.0
TELLER = "chaos-teller"
PRICE_USD_MICROS = 100
PRICE = BudgetVector({"usd": PRICE_USD_MICROS})
"""Of one use of a tool here."""


class Books(BaseModel):
    """What a teller has seen and done."""

    units: int = 0
    last_seq: dict[str, int] = {}
    """Sender -> the number of its last message."""
    given: dict[str, int] = {}
    """Peer -> how many gifts went there."""
    events: list[str] = []
    published: list[str] = []
    timers_set: dict[str, int] = {}
    timers_fired: dict[str, int] = {}
    """Timer -> when its tick was, on the store's clock."""
    effects: list[str] = []
    """What the world outside was asked to do, and said that it did."""
    failed: list[str] = []
    """What it did not say so of."""
    thoughts: int = 0
    spawned: int = 0
    children_ended: int = 0
    wrong: list[str] = []
    """What should never have happened."""


@tool(side_effect="keyed", cost=PRICE, trusted_output=True, timeout_s=20)
def credit(to: str, what: str, idempotency_key: str = "") -> dict[str, JsonValue]:
    """An entry in books outside, once per key."""
    return _posted(to, {"what": what, "key": idempotency_key, "kind": "keyed"})


@tool(side_effect="unsafe", cost=PRICE, trusted_output=True, timeout_s=20)
def pay(to: str, what: str) -> dict[str, JsonValue]:
    """Money leaves; twice is twice."""
    return _posted(to, {"what": what, "key": what, "kind": "unsafe"})


class Teller(Behaviour[Books]):
    """Counts, and audits itself."""

    name = TELLER

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
            tick.state.wrong.append(f"I4: event {event.key} came twice")
        tick.state.events.append(event.key)
        return Sleep.until_woken()

    async def on_timer(self, tick: Tick[Books], timer_id: str) -> Closing | None:
        if timer_id == "life":
            return Finish(result={"units": tick.state.units})
        if timer_id in tick.state.timers_fired:
            tick.state.wrong.append(f"I6: timer {timer_id} fired twice")
        tick.state.timers_fired[timer_id] = tick.now_ms
        return Sleep.until_woken()

    async def on_child(self, tick: Tick[Books], child: Mail) -> Closing | None:
        state = tick.state
        state.children_ended += 1
        if state.children_ended > state.spawned:
            state.wrong.append(f"I4: the end of {child.child} was told twice")
        state.units += _number(_object(_object(child.body).get("result")).get("units"))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Books], message: Mail) -> Closing | None:
        deed, state = _object(message.body), tick.state
        self._check_order(state, message.sender, _number(deed.get("seq")))
        state.units += _number(deed.get("gift"))
        if give := _number(deed.get("give")):
            self._give(tick, str(deed["to"]), give)
        if ahead_ms := _number(deed.get("timer_ms")):
            name = f"t{len(state.timers_set)}"
            state.timers_set[name] = tick.now_ms + ahead_ms
            tick.set_timer(name, tick.now_ms + ahead_ms)
        if key := deed.get("publish"):
            tick.publish(ECHO, {"from": tick.id}, key=str(key))
            state.published.append(str(key))
        if units := _number(deed.get("spawn")):
            tick.spawn(Teller, goal="hold units", budget=tick.budget.share(0.05), input={"units": units})
            state.units, state.spawned = state.units - units, state.spawned + 1
        await self._outward(tick, deed)
        return Sleep.until_woken()

    async def _outward(self, tick: Tick[Books], deed: dict[str, JsonValue]) -> None:
        """What needs an answer inside the tick."""
        state = tick.state
        for name, wish in (("credit", credit), ("pay", pay)):
            if where := deed.get(name):
                what = f"{tick.id}:{name}:{len(state.effects) + len(state.failed)}"
                try:
                    await tick.use(wish, to=str(where), what=what)
                    state.effects.append(what)
                except ToolError:
                    state.failed.append(what)
        if question := deed.get("think"):
            await tick.think(str(question), step="haiku", max_output_tokens=50)
            state.thoughts += 1
        if spin_s := deed.get("spin_s"):
            await asyncio.sleep(float(str(spin_s)))

    def _check_order(self, state: Books, sender: str, seq: int) -> None:
        last = state.last_seq.get(sender, 0)
        if seq != last + 1:
            state.wrong.append(f"I4: message {seq} of {sender} came after {last}")
        state.last_seq[sender] = seq

    def _give(self, tick: Tick[Books], peer: str, units: int) -> None:
        tick.state.given[peer] = tick.state.given.get(peer, 0) + 1
        tick.state.units -= units
        tick.send(peer, {"seq": tick.state.given[peer], "gift": units})


TOOLS = (credit, pay)


def _posted(to: str, words: dict[str, Any]) -> dict[str, JsonValue]:
    asked = urllib.request.Request(to, json.dumps(words).encode(), {"content-type": "application/json"})  # noqa: S310 - our own world
    with urllib.request.urlopen(asked, timeout=OUTSIDE_S) as answer:  # noqa: S310
        told: dict[str, JsonValue] = json.loads(answer.read())
    return told


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
