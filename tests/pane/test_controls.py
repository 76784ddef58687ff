"""Each control of the pane does what it says, by mouse, on one and on many; by keyboard see `test_keyboard`."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from maestro.ids import ContinuationId
from maestro.runtime import steer
from tests.pane.theatre import Seat, Theatre, eventually

Carried = Callable[[Theatre, str], bool]
"""Whether a control was carried out, by the store's own word."""


def _frozen(theatre: Theatre, cid: str) -> bool:
    return theatre.shown(cid)["hold"] == "frozen"


def _ended(theatre: Theatre, cid: str) -> bool:
    theatre.settle()
    return theatre.shown(cid)["status"] == "cancelled"


def _granted(theatre: Theatre, cid: str) -> bool:
    budget = theatre.shown(cid)["budget"]
    assert isinstance(budget, dict)
    usd = budget["usd"]
    return isinstance(usd, dict) and usd["granted"] == 900_000


def _forked(theatre: Theatre, cid: str) -> bool:
    async def of_this() -> bool:
        found = [await theatre.swarm.stage.checkpoint(one) for one in await theatre.swarm.stage.all()]
        return any(one.forked_from is not None and one.forked_from.id == cid for one in found)

    return theatre.do(of_this())


def _woken(theatre: Theatre, cid: str) -> bool:
    theatre.settle()
    return theatre.shown(cid)["rev"] == 2


CONTROLS: dict[str, Carried] = {
    "Fork": _forked,
    "Re-budget": _granted,
    "Freeze": _frozen,
    "Wake": _woken,
    "Cancel": _ended,
    "Kill": _ended,
}
AUDITED = {word: word.lower().replace("-", "") for word in CONTROLS} | {"Wake": "order"}
"""Under which verb it is on record."""


@pytest.fixture(scope="module")
def theatre(house: Theatre) -> Theatre:
    return house.anew()


@pytest.fixture(scope="module")
def seat(browser: Browser, theatre: Theatre) -> Iterator[Seat]:
    theatre.scout(name="the-first")
    taken = Seat(browser, theatre)
    yield taken
    taken.close()


@pytest.mark.spec("06.4")
@pytest.mark.parametrize("word", CONTROLS)
def test_a_control_by_mouse(theatre: Theatre, seat: Seat, word: str) -> None:
    carried = CONTROLS[word]
    cid = theatre.start(name=f"mouse-{word.lower()}")
    page = seat.look(f"?id={cid}&view=timeline")

    page.get_by_role("toolbar").get_by_role("button", name=word).click()
    page.get_by_role("dialog").locator("footer").get_by_role("button", name=word).click()

    eventually(lambda: carried(theatre, cid), page)
    expect(page.get_by_role("dialog")).to_contain_text("1 done")
    assert (AUDITED[word], "pane") in theatre.audited(cid)


def test_what_is_lost_is_said_before_a_kill_and_keeping_is_the_first_answer(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.start(name="spared")
    page = seat.look(f"?id={cid}")

    page.keyboard.press("K")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What is lost")
    expect(dialog).to_contain_text("unread message")
    expect(dialog).to_contain_text("$0.40 unspent")
    expect(dialog.get_by_role("button", name="Keep as it is")).to_be_focused()
    page.keyboard.press("Enter")

    page.wait_for_selector("dialog", state="detached")
    theatre.settle()
    assert theatre.shown(cid)["status"] == "pending"


@pytest.mark.spec("06.4")
def test_one_control_is_applied_to_all_that_are_selected(theatre: Theatre, seat: Seat) -> None:
    cids = [theatre.start(name=f"many-{place}") for place in range(3)]
    page = seat.look("?q=many-")
    for place in range(3):
        page.get_by_role("button", name=f"Select many-{place}").click()
    expect(page.get_by_role("toolbar")).to_contain_text("3 selected")

    page.keyboard.press("z")
    expect(page.get_by_role("dialog")).to_contain_text("Freeze 3 continuations")
    page.get_by_role("dialog").locator("footer").get_by_role("button", name="Freeze 3").click()

    expect(page.locator(".results li")).to_have_count(3)
    assert all(_frozen(theatre, cid) for cid in cids)
    assert all(("freeze", "pane") in theatre.audited(cid) for cid in cids)


def test_all_that_a_search_leaves_are_counted_by_the_server_first(theatre: Theatre, seat: Seat) -> None:
    cids = [theatre.start(name=f"herd-{place}") for place in range(12)]
    page = seat.look(f"?q=herd-&id={cids[0]}")
    page.get_by_role("button", name="all that match").click()

    page.keyboard.press("K")
    expect(page.get_by_role("dialog")).to_contain_text("Kill 12 continuations")
    page.get_by_role("dialog").locator("footer").get_by_role("button", name="Kill 12").click()

    expect(page.locator(".results li")).to_have_count(12)
    eventually(lambda: all(_ended(theatre, cid) for cid in cids), page)


@pytest.mark.spec("06.4")
def test_two_are_merged_into_one(theatre: Theatre, seat: Seat) -> None:
    stays = theatre.start(name="stays")
    ends = _twin(theatre, stays)
    page = seat.look(f"?sel={stays},{ends}")

    page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What is lost")
    expect(dialog.get_by_label("Into")).to_have_value(stays)
    dialog.locator("footer").get_by_role("button", name="Merge").click()
    expect(dialog).to_contain_text("1 done")

    def merged() -> bool:
        theatre.settle()
        return theatre.shown(ends)["status"] != "pending" and theatre.shown(stays)["status"] == "pending"

    eventually(merged, page)


def test_a_refusal_is_told_for_the_one_that_it_concerns(theatre: Theatre, seat: Seat) -> None:
    alive, ended = theatre.start(name="alive"), theatre.start("finish", name="ended-already")
    page = seat.look(f"?sel={alive},{ended}")

    page.keyboard.press("w")
    page.get_by_role("dialog").locator("footer").get_by_role("button", name="Wake 2").click()

    expect(page.locator(".results li.ok")).to_have_count(1)
    expect(page.locator(".results li.no .refused")).not_to_be_empty()


def test_a_fork_from_a_tick_tells_its_price_first(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.start(name="source-of-forks")
    page = seat.look(f"?view=timeline&id={cid}")

    page.locator("#tick-1").get_by_role("button", name="Fork from here").click()
    expect(page.locator(".preview")).to_contain_text("after tick 1")
    expect(page.locator(".preview")).to_contain_text("It gets")
    page.get_by_label("Share of what is free").fill("25")
    page.get_by_role("dialog").locator("footer").get_by_role("button", name="Fork").click()

    eventually(lambda: _forked(theatre, cid), page)


def _twin(theatre: Theatre, cid: ContinuationId) -> ContinuationId:
    made = theatre.do(steer.fork(theatre.at, cid, None, 0.5, None))
    theatre.settle()
    return made
