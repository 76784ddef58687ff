"""The pane for everybody: by keyboard, by what reads it aloud, on a phone, by several people at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pane.theatre import DESKTOP, PHONE, Seat, Theatre, eventually

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
"""Deque's checker, as `make ui` copied it; not part of the package."""
VIEWS = ("findings", "timeline", "waits", "away", "costs", "system", "swarm", "field")
SERIOUS = ("serious", "critical")
SCHEMES: tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...] = (
    ("light", {}),
    ("dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}}),  # a scheme changes colours, nothing else
)


@pytest.fixture(scope="module")
def theatre(house: Theatre) -> Theatre:
    house.anew().scout("Watch for planning and memory", name="watcher")
    for title in ("Planning with small models", "Memory that forgets", "<b>Bold</b> memory"):
        house.item(title)
    for ask in ("approval", "question", "finish", "fail"):
        house.start(ask, name=f"one-{ask}")
    return house


@pytest.mark.spec("06.11")
@pytest.mark.shows("8.6")
def test_axe_has_no_serious_finding_in_any_view_light_or_dark_wide_or_narrow(
    browser: Browser, theatre: Theatre
) -> None:
    seat = Seat(browser, theatre)
    page, found = seat.page, list[str]()
    for view in VIEWS:
        page = seat.look(f"?view={view}&id={_watcher(seat)}")
        page.wait_for_timeout(300)
        found += [f"{view}, {one}" for one in _serious_in_each_look(page)]
    page = seat.look("?view=waits")
    page.get_by_role("button", name="Hand over").first.click()
    page.locator(".handing").wait_for()
    found += [f"handing over, {one}" for one in _serious_in_each_look(page)]
    page = seat.look(f"?view=timeline&id={_watcher(seat)}")
    for key in ("?", "K"):
        page.keyboard.press(key)
        page.wait_for_selector("dialog[open]")
        found += [f"dialog {key}, {one}" for one in _serious_in_each_look(page)]
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
    seat.close()
    assert found == []


def test_axe_sees_what_is_wrong(browser: Browser, theatre: Theatre) -> None:
    seat = Seat(browser, theatre)
    page = seat.look()
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    page.evaluate(AXE)
    assert [one.split()[0] for one in _serious(page)] == ["button-name"]
    page.evaluate("document.querySelector('main h1').style.color = '#eee'")
    assert [one.split()[0] for one in _serious(page, SCHEMES[1][1])] == ["color-contrast"]
    seat.close()


@pytest.mark.spec("06.11")
def test_on_a_phone_nothing_is_wider_than_the_page_and_every_view_is_reached(
    browser: Browser, theatre: Theatre
) -> None:
    seat = Seat(browser, theatre, PHONE, has_touch=True)
    for view in VIEWS:
        page = seat.look(f"?view={view}&id={_watcher(seat)}")
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    page = seat.look("?view=findings")
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Swarm").tap()
    expect(page.get_by_role("treegrid")).to_be_visible()
    page.locator(".strip", has_text="watcher").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("watcher")
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Field").tap()
    expect(page.locator("[data-entry]").first).to_be_visible()
    assert seat.complaints == []
    seat.close()


@pytest.mark.spec("06.7")
def test_of_two_people_who_answer_the_first_counts_and_the_second_is_told(browser: Browser, theatre: Theatre) -> None:
    cid = theatre.start("approval", name="contested")
    first, second = Seat(browser, theatre), Seat(browser, theatre)
    for seat in (first, second):
        seat.look("?view=waits")
    mine = "li.wait:has-text('contested')"
    second.page.locator(mine).wait_for()

    first.page.locator(mine).get_by_role("button", name="Approve", exact=True).click()
    expect(first.page.get_by_role("main")).to_contain_text("Approve: done")
    second.page.locator(mine).get_by_role("button", name="Deny").click()
    expect(second.page.locator(f"{mine} [role=alert]")).to_contain_text("already")

    theatre.settle()
    answers = theatre.shown(cid)["state"]
    assert isinstance(answers, dict)
    assert str(answers["answers"]).count("decision") == 1
    assert "approved" in str(answers["answers"])
    for seat in (first, second):
        seat.close()


def test_an_approval_says_what_happens_at_timeout_and_is_edited_before_it_is_given(
    browser: Browser, theatre: Theatre
) -> None:
    cid = theatre.start("approval", name="edited")
    seat = Seat(browser, theatre)
    page = seat.look("?view=waits")
    wait = page.locator("li.wait:has-text('edited')")
    expect(wait.locator(".fate")).to_contain_text("in 23 h")
    expect(wait.locator(".fate")).to_contain_text("it counts as denied")

    wait.get_by_role("button", name="Edit, then approve").click()
    wait.get_by_label("Arguments to approve instead").fill('{"to": "ana@example.org", "text": "shorter"}')
    wait.get_by_role("button", name="Approve as edited").click()

    def given() -> bool:
        theatre.settle()
        return "ana@example.org" in str(theatre.shown(cid)["state"])

    eventually(given, page)
    seat.close()


def test_help_lists_every_control_and_its_key(browser: Browser, theatre: Theatre) -> None:
    seat = Seat(browser, theatre)
    page = seat.look()
    page.keyboard.press("?")
    told = page.get_by_role("dialog").inner_text()
    for word in (
        "Fork",
        "Re-budget",
        "Merge",
        "Migrate",
        "Freeze",
        "Thaw",
        "Wake",
        "Cancel",
        "Kill",
        "Approve",
        "Deny",
    ):
        assert word in told
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    seat.close()


def _watcher(seat: Seat) -> str:
    found = seat.page.request.get(f"{seat.theatre.url}/v1/continuations?q=watcher").json()["items"]
    return str(found[0]["id"])


def _serious_in_each_look(page: Page) -> Iterator[str]:
    """In place: the sheets of the pane follow the scheme and the width without a reload."""
    page.evaluate(AXE)
    for width, height in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        for scheme, rules in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            yield from (f"{width} px, {scheme}: {one}" for one in _serious(page, rules))
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})


def _serious(page: Page, rules: dict[str, Any] | None = None) -> list[str]:
    told: dict[str, Any] = page.evaluate(
        "(rules) => axe.run(document, {resultTypes: ['violations'], ...rules})", rules or {}
    )
    return [
        f"{one['id']} {one['nodes'][0]['target']} {one['nodes'][0]['failureSummary'][:200]}"
        for one in told["violations"]
        if one["impact"] in SERIOUS
    ]
