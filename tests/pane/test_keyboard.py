"""Whatever can be done from the pane is done here once by keyboard alone.

What can be done is what `ui/src/actions.ts` lists, and nothing else is ever sent: a new action without a story here is
red. A story counts what the browser sent, and that the API took it. No mouse, no script that clicks.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from maestro.continuation.goal import GoalFrame
from maestro.runtime import steer, verbs
from maestro.runtime.nodes import Seen
from tests.pane.theatre import ROOT, Seat, Theatre, eventually

LISTED = re.compile(r'^\s+"(?P<action>[a-z.]+)": "(?P<method>POST|PATCH) (?P<path>/v1/\S+)",$', re.MULTILINE)
REACH = 120  # how far Tab may have to go
CONTROLS = {"fork": "f", "rebudget": "b", "freeze": "z", "thaw": "Z", "wake": "w", "cancel": "c", "kill": "K"}


def listed() -> frozenset[str]:
    """The actions of the pane, as its own table has them."""
    return frozenset(found["action"] for found in LISTED.finditer((ROOT / "ui/src/actions.ts").read_text()))


@dataclass
class Hands:
    """On the keyboard before a page; they know what was sent."""

    seat: Seat
    theatre: Theatre
    taken: set[str] = field(default_factory=set)
    """Actions that the API took."""

    def __post_init__(self) -> None:
        self.seat.page.on("response", self._heard)

    @property
    def page(self) -> Page:
        return self.seat.page

    def _heard(self, answer: Response) -> None:
        asked = answer.request
        if asked.method not in ("POST", "PATCH") or not answer.ok:
            return
        body: dict[str, Any] = json.loads(asked.post_data or "{}")
        if not body.get("dry_run"):
            self.taken.add(_action(asked.url.partition("/v1/")[2], body))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, name: str, inside: str = "body") -> None:
        """Tab leads to what is called so."""
        for _ in range(REACH):
            if self.page.evaluate(
                """([name, inside]) => {
                  const one = document.activeElement;
                  const told = one.getAttribute('aria-label') ?? one.labels?.[0]?.textContent ?? one.textContent;
                  return one.closest(inside) !== null && (told ?? '').trim().startsWith(name);
                }""",
                [name, inside],
            ):
                return
            self.press("Tab")
        raise AssertionError(f"Tab does not lead to {name!r}")

    def confirm(self) -> None:
        """The open dialog is carried out, and gone."""
        self.page.wait_for_selector("dialog[open] footer button[type=submit]:not(:disabled)")
        for _ in range(REACH):
            if self.page.evaluate("document.activeElement.matches('dialog footer button[type=submit]')"):
                break
            self.press("Tab")
        self.press("Enter")
        expect(self.page.get_by_role("dialog")).to_contain_text("1 done")
        self.press("Escape")
        self.page.wait_for_selector("dialog", state="detached")

    def took(self, action: str) -> None:
        eventually(lambda: action in self.taken, self.page)


def _action(path: str, body: dict[str, Any]) -> str:
    """Which of the list a request is."""
    match path.split("?")[0].split("/"):
        case ["bulk"]:
            return str(body["verb"])
        case ["continuations", _, "fork"]:
            return "fork.tick"
        case ["waits", _, "answer"]:
            return f"wait.{body['verb']}"
        case ["waits", _, "snooze" | "delegate" as verb]:
            return f"wait.{verb}"
        case ["findings", _]:
            return next(f"finding.{name}" for name in ("place", "note", "status") if name in body)
        case ["continuations", _, "field", "commands"]:
            return f"field.{str(body['commands']).split()[0]}"
        case ["digest", "seen"]:
            return "digest.seen"
        case ["freeze" | "thaw" as verb]:
            return "brake.on" if verb == "freeze" else "brake.off"
    return f"unknown: {path}"


def _stand_on(hands: Hands, name: str) -> None:
    """The rail's cursor is on the row of that name."""
    hands.press("7")
    for _ in range(REACH):
        if hands.page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''").startswith(f"{name},"):
            return
        hands.press("ArrowDown")
        hands.page.wait_for_timeout(20)
    raise AssertionError(f"the arrow keys do not lead to {name}")


def controls(hands: Hands) -> None:
    """One is found by search and arrows, and everything is done to it; at last a copy of it is killed."""
    theatre, page = hands.theatre, hands.page
    cid = theatre.start(name="steered")
    ended = theatre.start(name="over-soon")
    page = hands.seat.look()
    hands.press("/")
    page.keyboard.type("steered")
    hands.press("Tab")
    _stand_on(hands, "steered")
    hands.press("Enter")
    page.wait_for_url(f"**id={cid}**")
    for action in ("fork", "rebudget", "freeze", "thaw", "wake", "cancel"):
        hands.press(CONTROLS[action])
        hands.confirm()
        hands.took(action)
    hands.seat.look(f"?id={ended}")
    hands.press("K")
    hands.confirm()
    hands.took("kill")


def two_and_a_place(hands: Hands) -> None:
    """Two are selected with `x`, and merged; one is sent elsewhere; one goes on from an earlier tick."""
    theatre = hands.theatre
    stays = theatre.start(name="twin-a")
    theatre.do(steer.fork(theatre.at, stays, None, 0.5, None))
    theatre.settle()
    theatre.do(theatre.at.backend.nodes.see([Seen(name=name, id=name, alive=True) for name in ("north", "south")]))
    page = hands.seat.look(f"?id={stays}")
    hands.press("g")
    page.wait_for_selector("dialog footer button[type=submit]:not(:disabled)")
    hands.tab_to("To node", "dialog")
    page.keyboard.type("south")
    hands.confirm()
    hands.took("migrate")
    hands.press("2")
    hands.tab_to("Fork from here", "#tick-1")
    hands.press("Enter")
    hands.confirm()
    hands.took("fork.tick")
    hands.press("7", "Home")
    for _ in range(10):
        if page.evaluate("document.activeElement.matches('.strip:not(.selected)')"):
            hands.press("x")
        hands.press("ArrowDown")
        page.wait_for_timeout(20)
    hands.press("m")
    page.wait_for_selector("dialog[open] footer button[type=submit]:not(:disabled)")
    hands.tab_to("Merge", "dialog footer")
    hands.press("Enter")
    expect(page.locator(".results li.ok")).not_to_have_count(0)
    hands.took("merge")


def questions(hands: Hands) -> None:
    """Each kind of question is answered, in each way."""
    theatre, page = hands.theatre, hands.page
    for ask in ("approval", "question", "budget"):
        theatre.start(ask, name=f"asks-{ask}")
    for name in ("later", "other"):
        theatre.start("question", name=f"asks-{name}")
    for name in ("denied", "ended"):
        theatre.start("approval", name=f"asks-{name}")
    for name in ("held", "lost"):
        theatre.do(_started_without_code(theatre, name))
    page = hands.seat.look("?view=waits")
    page.locator("li.wait").nth(8).wait_for()
    hands.tab_to("asks-later asks", "li.wait")
    hands.press("s")
    hands.took("wait.snooze")
    hands.tab_to("asks-other asks", "li.wait")
    hands.press("h")
    hands.tab_to("Hand over to", "li.wait form")
    page.keyboard.type("ana")
    hands.press("Enter")
    hands.took("wait.delegate")
    for name, verb in (("asks-approval", "a"), ("asks-denied", "d"), ("asks-question", "r")):
        hands.tab_to(f"{name} asks", "li.wait")
        hands.press(verb)
        if verb == "r":
            page.keyboard.type("The appendix, yes")
            hands.press("Tab", "Enter")
        hands.took({"a": "wait.approve", "d": "wait.deny", "r": "wait.reply"}[verb])
    for name, button, action in (
        ("asks-budget", "Grant", "wait.rebudget"), ("held", "Thaw", "wait.thaw"), ("lost", "Kill", "wait.kill"),
    ):  # fmt: skip
        hands.tab_to(f"{name} asks", "li.wait")
        hands.tab_to(button, "li.wait button" if button == "Grant" else "li.wait")
        hands.press("Enter")
        hands.took(action)


def findings(hands: Hands) -> None:
    """A finding is accepted, noted, and moved below the next."""
    theatre = hands.theatre
    theatre.scout(name="finder")
    for title in ("One", "Two"):
        theatre.item(title)
    page = hands.seat.look()
    page.locator(".finding").nth(1).wait_for()
    hands.tab_to("Accept", ".finding")
    hands.press("Enter")
    hands.took("finding.status")
    hands.tab_to("Note", ".finding")
    hands.press("Enter")
    hands.tab_to("Note", ".finding textarea")
    page.keyboard.type("Ask about seeds.")
    hands.press("Tab", "Enter")
    hands.took("finding.note")
    hands.tab_to("Move down", ".finding")
    hands.press("Enter")
    hands.took("finding.place")


def entries(hands: Hands) -> None:
    """An entry of the field goes through every verb that it has."""
    theatre = hands.theatre
    cid = theatre.scout("Watch for planning and memory", name="holder")
    theatre.item("An entry on planning and memory")
    hands.seat.look(f"?id={cid}")
    hands.page.locator("[data-entry]").first.wait_for()
    for verb in ("pin", "unpin", "collapse", "expand", "remove"):
        hands.tab_to(verb, ".entry-verbs")
        hands.press("Enter")
        hands.took(f"field.{verb}")
        theatre.settle()
    hands.tab_to("Restore", ".gone")
    hands.press("Enter")
    hands.took("field.restore")
    theatre.settle()
    hands.tab_to("hide", ".entry-verbs")
    hands.press("Enter")
    hands.took("field.hide")


def the_whole(hands: Hands) -> None:
    """What was read is marked as seen; the brake is put on, and let go."""
    hands.theatre.start()
    page = hands.seat.look("?view=away")
    page.get_by_role("button", name="I have seen it").and_(page.locator(":not([disabled])")).wait_for()
    hands.tab_to("I have seen it")
    hands.press("Enter")
    hands.took("digest.seen")
    hands.press("6")
    page.get_by_role("heading", level=1, name="System").wait_for()
    hands.tab_to("Freeze everything")
    hands.press("Enter")
    hands.took("brake.on")
    page.get_by_role("button", name="Release the brake").wait_for()
    hands.tab_to("Release the brake")
    hands.press("Enter")
    hands.took("brake.off")


STORIES: dict[Callable[[Hands], None], frozenset[str]] = {
    controls: frozenset(CONTROLS),
    two_and_a_place: frozenset({"migrate", "fork.tick", "merge"}),
    questions: frozenset(
        f"wait.{verb}" for verb in ("approve", "deny", "reply", "rebudget", "thaw", "kill", "snooze", "delegate")
    ),
    findings: frozenset({"finding.status", "finding.note", "finding.place"}),
    entries: frozenset(f"field.{verb}" for verb in ("pin", "unpin", "collapse", "expand", "hide", "remove", "restore")),
    the_whole: frozenset({"digest.seen", "brake.on", "brake.off"}),
}


@pytest.fixture
def hands(browser: Browser, theatre: Theatre) -> Iterator[Hands]:
    seat = Seat(browser, theatre)
    yield Hands(seat, theatre)
    seat.close()


@pytest.mark.shows("8.6")
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_by_keyboard_alone(hands: Hands, story: Callable[[Hands], None]) -> None:
    story(hands)
    assert hands.taken >= STORIES[story]


@pytest.mark.shows("8.6")
def test_each_action_of_the_pane_is_in_a_story() -> None:
    assert len(listed()) > 20, "the table was not found"
    assert listed() == frozenset().union(*STORIES.values())


async def _started_without_code(theatre: Theatre, name: str) -> None:
    """It is held: nobody here has its behaviour."""
    goal = GoalFrame(goal="A behaviour that is not installed here")
    await verbs.start(theatre.at, verbs.Start(behaviour="gone", goal=goal, name=name))
    await theatre.swarm.stage.settle()
