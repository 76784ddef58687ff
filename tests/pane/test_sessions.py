"""A continuation opens a session by itself, through a tool; whoever watches hears of it, finds it by name, answers."""

import pytest
from playwright.sync_api import expect

from maestro.budget.vector import Budget
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Mail
from maestro.errors import Conflict
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.spec import Tool, tool
from tests.pane.theatre import Seat, Theatre
from tests.pane_stage import Reader, Reading
from tests.stage import Stage

NAME = "about-the-replication"


class Opener(Behaviour[Reading]):
    """Woken by whatever it watches, it begins a session with a person."""

    async def start(self, tick: Tick[Reading]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Reading], message: Mail) -> Closing | None:
        await tick.use("open_session", name=NAME, goal="Ask about the appendix")
        return Sleep.until_woken()


def sessions(at: Installation) -> Tool:
    """The tool that opens one; the name makes it the same one when it is tried again."""

    @tool(side_effect="idempotent")
    async def open_session(name: str, goal: str) -> str:
        """Opens a session with whoever watches."""
        asked = verbs.Start(
            behaviour=Reader.name,
            goal=GoalFrame(goal=goal),
            name=name,
            input={"ask": "question"},
            budget=Budget(usd="0.40"),
        )
        try:
            return await verbs.start(at, asked)
        except Conflict:
            return str(await at.backend.records.named(name))

    return open_session


@pytest.mark.spec("06.6")
def test_a_session_that_a_continuation_opened_is_heard_of_found_by_its_name_and_answered(
    theatre: Theatre, seat: Seat
) -> None:
    stage = theatre.do(_stage(theatre))
    opener = theatre.do(_opener(stage))
    page = seat.look()
    cursor = page.request.get(f"{theatre.url}/v1/events").json()["cursor"]

    theatre.do(_woken(stage, opener))

    row = page.locator(".strip", has_text=NAME)
    expect(row).to_contain_text("asks you")  # nobody has reloaded the page
    heard = page.request.get(f"{theatre.url}/v1/events", params={"after": cursor}).json()["items"]
    (created,) = [event["data"] for event in heard if event["event"] == "session.created"]
    assert (created["root"], created["parent"]) == (row.get_attribute("data-id"), None)
    page.get_by_label("Search continuations").fill(NAME)
    expect(page.locator(".strip")).to_have_count(1)
    row.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    expect(page.locator("#tick-1")).to_be_visible()
    page.keyboard.press("3")
    page.get_by_placeholder("Your answer").fill("The appendix, yes")
    page.get_by_role("button", name="Reply").click()
    expect(page.get_by_role("main")).to_contain_text("Reply: done")
    theatre.do(stage.settle())
    assert theatre.shown(created["root"])["result"] == {"text": "The appendix, yes"}
    assert seat.complaints == []


async def _stage(theatre: Theatre) -> Stage:
    return Stage(theatre.at.backend, Opener, Reader, tools=[sessions(theatre.at)])


async def _opener(stage: Stage) -> ContinuationId:
    cid = await stage.start(Opener, "Open a session when something comes")
    await stage.settle()
    return cid


async def _woken(stage: Stage, cid: ContinuationId) -> None:
    await verbs.send(stage.at, cid, "something came")
    await stage.settle()
