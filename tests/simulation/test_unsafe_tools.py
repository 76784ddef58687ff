"""An unsafe tool and processes that die at every port call around it: never a second time what was approved once.

Each run is one approved payment; the process that makes the n-th call dies before or after it. What nobody knows
afterwards is asked, and the person who answers has looked. CI tries 100 such deaths, `make tools` 1,000 (TOOL_DEATHS).
"""

import os
from collections import Counter
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish
from maestro.testing.faults import CutPoint
from maestro.testing.harness import Harness
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.spec import tool

DEATHS = int(os.environ.get("TOOL_DEATHS") or 100)
PAID: Counter[str] = Counter()


@tool(side_effect="unsafe", risk="high")
async def transfer(to: str, cents: int) -> str:
    """Money goes, and no second call takes it back."""
    PAID[to] += 1
    return f"receipt {PAID[to]}"


class Receipts(BaseModel):
    receipt: JsonValue = None


class Payer(Behaviour[Receipts]):
    async def start(self, tick: Tick[Receipts]) -> Closing | None:
        tick.state.receipt = await tick.use(transfer, to=str(tick.about.input), cents=5)
        return Finish(result=tick.state.receipt)


def paid(harness: Harness, to: str) -> Any:
    """One payment from start to end; a person approves it once, and says what is so when asked."""
    case = harness.start(Payer, input=to)
    for _ in range(12):
        if case.status == "completed":
            return case.result
        wait: Any = case.shown["wait"]
        match wait and wait["type"]:
            case "approval_resolution":
                case.approve(wait["approval_id"])
            case "user_reply":
                case.reply("yes" if PAID[to] else "again")
            case _:
                harness.advance(minutes=10)
    raise AssertionError(f"it does not come to an end: {case.why}")


def undisturbed() -> list[int]:
    """The numbers of the writes of such a payment."""
    PAID.clear()
    with Harness(Payer, tools=[transfer], unlucky=(quiet := CutPoint())) as harness:
        assert paid(harness, "bob") == "receipt 1"
        assert quiet.calls
        return list(range(1, quiet.calls + 1))


@pytest.mark.shows("5.8")
def test_an_approved_action_is_never_carried_out_twice_wherever_a_process_dies() -> None:
    places = [(at, after) for at in undisturbed() for after in (False, True)]
    struck: Counter[str] = Counter()
    for run in range(DEATHS):
        at, after = places[run * len(places) // DEATHS if len(places) > DEATHS else run % len(places)]
        cut, to = CutPoint(at, after), f"payee-{run}"
        with Harness(Payer, tools=[transfer], seed=run, unlucky=cut) as harness:
            paid(harness, to)
        assert PAID[to] == 1, f"paid {PAID[to]} times, cut: {cut.cut}"
        struck[str(cut.cut)] += 1
    died = {place for place in struck if place.startswith("pool/")}
    around = {"record", "settle", "commit"}
    assert around <= {place.rpartition(".")[2] for place in died}, f"nobody died around the call itself: {struck}"
