"""What people do with a question beside answering it: they put it off for themselves, or hand it to somebody."""

import pytest
from playwright.sync_api import Browser, expect

from tests.pane.theatre import Seat, Theatre

MINE = "li.wait:has-text('asks-first')"


@pytest.fixture
def asked(theatre: Theatre) -> str:
    return theatre.start("approval", name="asks-first")


def test_what_one_puts_off_is_gone_for_this_one_alone_and_comes_back(
    theatre: Theatre, seat: Seat, browser: Browser, asked: str
) -> None:
    page = seat.look("?view=waits")
    page.locator(MINE).get_by_role("button", name="Snooze 1 h").click()
    expect(page.locator(MINE)).to_have_count(0)
    expect(page.get_by_role("main")).to_contain_text("Put off for 1 h")
    assert ("snooze", "pane") in theatre.audited(asked)
    page.reload()
    expect(page.get_by_role("main")).to_contain_text("Nobody waits for you")

    page.get_by_role("button", name="1 put off: show").click()
    expect(page.locator(MINE)).to_contain_text("You put it off; it is back in")
    page.get_by_role("button", name="Hide what is put off").click()
    expect(page.locator(MINE)).to_have_count(0)
    theatre.pass_days(2 / 24)
    page.reload()
    expect(page.locator(MINE)).to_have_count(1)
    assert seat.complaints == []


def test_what_times_out_before_an_hour_is_put_off_for_half_of_what_is_left(
    theatre: Theatre, seat: Seat, asked: str
) -> None:
    theatre.pass_days(23.5 / 24)
    seat.enter()
    page = seat.look("?view=waits")
    button = page.locator(MINE).get_by_role("button", name="Snooze")
    expect(button).to_have_text("Snooze 14 min")
    button.click()
    expect(page.locator(MINE)).to_have_count(0)


def test_what_is_handed_over_names_who_is_meant_to_everybody_and_they_may_answer(
    theatre: Theatre, seat: Seat, browser: Browser, asked: str
) -> None:
    page = seat.look("?view=waits")
    page.locator(MINE).get_by_role("button", name="Hand over").click()
    page.get_by_label("Hand over to").fill("ana")
    page.get_by_label("With the words").fill("you know <b>them</b>")
    page.locator(".handing").get_by_role("button", name="Hand over").click()

    other = Seat(browser, theatre)
    other.look("?view=waits")
    for each in (page, other.page):
        expect(each.locator(f"{MINE} .handed")).to_contain_text("Meant for ana")
        expect(each.locator(f"{MINE} .handed")).to_contain_text("you know <b>them</b>")
    assert ("delegate", "pane") in theatre.audited(asked)
    other.page.locator(MINE).get_by_role("button", name="Approve", exact=True).click()
    expect(other.page.get_by_role("main")).to_contain_text("Approve: done")
    assert seat.complaints == other.complaints == []
    other.close()
