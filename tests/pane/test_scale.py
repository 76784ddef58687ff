"""The pane before more rows than it draws: the short form of `make bench-pane`, which prints what 100,000 cost."""

from playwright.sync_api import Browser, expect

from tests.pane.at_scale import FOLDED, SCROLL, Changes, held
from tests.pane.theatre import Seat, Theatre, eventually

ROWS = 2_000
DRAWN = 60  # what a high screen shows, and a little beyond its edges
CHANGED = 60
GROWN_NODES = 400


def test_of_many_rows_only_those_in_sight_are_in_the_page(browser: Browser, theatre: Theatre) -> None:
    theatre.do(theatre.swarm.sleepers(ROWS))
    theatre.told_of(ROWS)
    seat = Seat(browser, theatre)
    page = seat.look(FOLDED)
    expect(page.locator(".group-head.sleeping .number")).to_have_text(f"{ROWS:,}")

    scrolled = page.evaluate(SCROLL, 1_500)
    assert scrolled["scrolled_px"] > 0
    assert 0 < scrolled["rows_in_the_page"] < DRAWN

    before, changes = held(page), Changes(theatre)
    moving = theatre.begin(changes.go_on())
    eventually(lambda: changes.made > CHANGED, page)
    moving.cancel()
    assert held(page)["nodes"] < before["nodes"] + GROWN_NODES
    print(f"\n{scrolled}, {before} then {held(page)}")
    assert seat.complaints == []
    seat.close()
