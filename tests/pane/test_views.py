"""Each view draws what the API tells, live, and obeys nobody's text."""

import statistics
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from maestro.ids import ContinuationId
from maestro.runtime import verbs
from tests.pane.theatre import LATE, WATCH, Seat, Theatre, eventually

HEADINGS = {
    "findings": "Findings",
    "waits": "Waiting on you",
    "away": "Since you were away",
    "costs": "Costs",
    "system": "System",
}
HOSTILE = (
    "<script>document.title='owned'</script> A paper",
    "<img src=x onerror=\"document.title='owned'\"> Another",
    "![beacon](https://evil.example/pixel.png) A third",
    "\x1b[2J\x1b[31mA red one \u202etxt.exe",
    "[click](javascript:document.title='owned')",
)
GENEROUS_MS = 5_000  # one second is promised; the machine is shared
IN_SIGHT = """(name) => {
  const row = [...document.querySelectorAll('.strip')].find((one) => one.textContent.includes(name));
  return row?.querySelector('.state')?.textContent;
}"""


def test_each_view_tells_what_the_api_tells(theatre: Theatre, seat: Seat) -> None:
    theatre.scout(name="watcher")
    theatre.start("approval", name="asker")
    theatre.item("A finding about sleep")
    expected = {
        "findings": "A finding about sleep",
        "waits": "mail the authors",
        "away": "A finding about sleep",
        "costs": "sonnet",
        "system": "default",
    }
    for view, heading in HEADINGS.items():
        page = seat.look(f"?view={view}")
        expect(page.locator(".gauge.money dd")).to_have_text("$0.0001")
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.get_by_role("main")).to_contain_text(expected[view])
    assert seat.complaints == []


def test_a_timeline_tells_what_woke_each_tick_and_what_it_cost(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.scout(name="watcher")
    theatre.item("Something new")
    page = seat.look(f"?view=timeline&id={cid}")

    expect(page.get_by_role("heading", level=1)).to_have_text("watcher")
    expect(page.locator("#tick-2")).to_contain_text("woken by event feed.papers")
    expect(page.locator("#tick-2 .calls")).to_contain_text("answered")
    expect(page.locator("#tick-2 .money")).to_have_text("$0.000035")
    assert seat.complaints == []


@pytest.mark.spec("06.3")
def test_the_right_rail_is_the_field_of_the_api_and_follows_it(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.scout("Watch for planning and memory", name="watcher")
    theatre.item("A first entry on planning")
    page = seat.look(f"?id={cid}")

    def as_told() -> bool:
        told = page.request.get(f"{theatre.url}/v1/continuations/{cid}/field?top=20").json()["items"]
        drawn: list[str] = page.locator("[data-entry]").evaluate_all("all => all.map(one => one.dataset.entry)")
        return [str(entry["id"]) for entry in told] == drawn

    eventually(as_told, page)
    theatre.item("A second entry on memory")
    expect(page.locator(".rail.field")).to_contain_text("A second entry on memory")
    eventually(as_told, page)
    scores = page.locator(".entry-facts").all_inner_texts()
    assert scores
    assert all("score" in score and "old" in score for score in scores)


def test_an_entry_is_pinned_removed_and_restored_from_the_right_rail(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.scout("Watch for planning and memory", name="watcher")
    theatre.item("An entry on memory to keep")
    page = seat.look(f"?id={cid}")
    entry = page.locator("[data-entry]").first
    name = entry.get_attribute("data-entry")

    def ordered(verb: str, where: str) -> None:
        with page.expect_response("**/field/commands"):
            page.locator(where).get_by_role("button", name=verb, exact=True).click()
        theatre.settle()

    ordered("pin", f'[data-entry="{name}"]')
    expect(page.locator(f'[data-entry="{name}"]')).to_contain_text("pinned")
    ordered("remove", f'[data-entry="{name}"]')
    expect(page.locator(f'[data-entry="{name}"]')).to_have_count(0)
    ordered("Restore", ".gone")
    expect(page.locator(f'[data-entry="{name}"]')).to_have_count(1)


def test_the_field_is_shown_as_the_model_of_a_tick_saw_it(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.scout("Watch for planning and memory", name="watcher")
    for title in ("A first entry on planning", "A second entry on memory", "A third on memory"):
        theatre.item(title)
    page = seat.look(f"?view=timeline&id={cid}")
    rail = page.locator(".rail.field")
    expect(rail).to_contain_text("A third on memory")

    page.locator("#tick-3").get_by_role("button", name="As it was then").click()
    expect(rail.get_by_role("note")).to_contain_text("What the model saw in tick 3")
    told = page.request.get(f"{theatre.url}/v1/continuations/{cid}/field?top=20&at=3").json()["items"]
    drawn: list[str] = page.locator("[data-entry]").evaluate_all("all => all.map(one => one.dataset.entry)")
    assert [str(entry["id"]) for entry in told] == drawn != []
    expect(rail).not_to_contain_text("A third on memory")
    expect(rail.get_by_role("button", name="pin")).to_have_count(0)

    rail.get_by_role("button", name="Back to now").click()
    expect(rail).to_contain_text("A third on memory")
    assert seat.complaints == []


@pytest.mark.spec("06.1")
def test_a_row_changes_its_state_within_a_second_without_a_reload(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.start("question", name="asks-first")
    page = seat.look()
    eventually(lambda: page.evaluate(IN_SIGHT, "asks-first") == "asks you", page)

    began = time.monotonic()
    theatre.do(_replied(theatre, cid))
    eventually(lambda: page.evaluate(IN_SIGHT, "asks-first") != "asks you", page, within_ms=3_000)
    print(f"\nseen after {1000 * (time.monotonic() - began):.0f} ms")


@pytest.mark.spec("06.19")
def test_the_time_from_a_commit_to_the_page_is_measured(theatre: Theatre, seat: Seat) -> None:
    theatre.scout("Watch for sleep", name="watcher")
    page = seat.look()
    page.evaluate(WATCH)
    for number in range(2, 12):
        theatre.item(f"Paper {number}")
        expect(page.locator(".strip", has_text="watcher")).to_contain_text(f"tick {number}")

    late = sorted(page.evaluate(LATE))
    print(f"\n{len(late)} ticks: p50 {statistics.median(late):.0f} ms, worst {late[-1]:.0f} ms after their commit")
    assert len(late) >= 10
    assert statistics.median(late) < GENEROUS_MS


@pytest.mark.spec("06.2")
def test_a_finding_appears_with_its_provenance(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.scout("Watch for sleep", name="watcher")
    page = seat.look()
    expect(page.get_by_role("main")).to_contain_text("Nothing was found yet")

    theatre.item("Sleep helps")

    leaf = page.locator(".finding").first
    expect(leaf).to_contain_text("Sleep helps")
    for told in ("scout", "tick 2", "Watch for sleep", "https://arxiv.org/abs/2407.00001", "$0.000035"):
        expect(leaf.locator(".provenance")).to_contain_text(told)
    leaf.get_by_role("link").click()
    page.wait_for_url(f"**id={cid}**")


def test_a_finding_is_accepted_noted_and_moved(theatre: Theatre, seat: Seat) -> None:
    theatre.scout()
    for title in ("One", "Two", "Three"):
        theatre.item(title)
    page = seat.look()
    titles = page.locator(".finding h2")
    expect(titles).to_have_text(["Three", "Two", "One"])

    page.get_by_role("button", name="Move up: One").click()
    expect(titles).to_have_text(["Three", "One", "Two"])
    one = page.locator(".finding").filter(has=page.get_by_role("heading", name="One", exact=True))
    one.get_by_role("button", name="Accept").click()
    expect(one.locator(".stamp")).to_have_text("accepted")
    one.get_by_role("button", name="Note").click()
    one.get_by_label("Note").fill("Ask about seeds.")
    one.get_by_role("button", name="Keep note").click()
    expect(one.locator(".margin-note")).to_contain_text("Ask about seeds.")
    page.reload()
    expect(titles).to_have_text(["Three", "One", "Two"])


def test_the_printed_link_lets_one_browser_in_once(theatre: Theatre, browser: Browser) -> None:
    link = theatre.link()
    first, second = browser.new_context(), browser.new_context()
    page = first.new_page()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Findings")
    assert page.url == f"{theatre.url}/"
    late = second.new_page()
    assert late.goto(link) is not None
    late.goto(theatre.url)
    expect(late.get_by_role("main")).to_contain_text("This browser is not known here.")
    first.close()
    second.close()


@pytest.mark.spec("06.10")
@pytest.mark.shows("8.7")
def test_hostile_text_is_shown_and_obeyed_nowhere(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.scout("Watch <b onmouseover=alert(1)>everything</b>", name="watcher")
    for title in HOSTILE:
        theatre.item(title)
    theatre.start("approval", title=HOSTILE[0])
    for view in (*HEADINGS, "timeline"):
        page = seat.look(f"?view={view}&id={cid}")
        page.wait_for_timeout(300)
        assert "owned" not in page.title()
        assert page.locator("img, iframe, object, embed, main script").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
    page = seat.look()
    expect(page.locator(".finding h2")).to_have_count(len(HOSTILE))
    shown = page.locator(".finding h2").all_inner_texts()
    assert any("<script>document.title='owned'</script> A paper" in title for title in shown)
    assert any("\u241b[2J\u241b[31mA red one \u27e8U+202E\u27e9txt.exe" in title for title in shown)
    assert {url.split("/")[2] for url in seat.asked} == {theatre.url.split("/")[2]}
    assert seat.complaints == []


def test_nothing_runs_that_the_server_did_not_serve(theatre: Theatre, seat: Seat) -> None:
    page = seat.look()
    policy = page.request.get(f"{theatre.url}/").headers["content-security-policy"]
    assert "unsafe" not in policy
    page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = 1';
      document.body.append(script);
    }""")
    assert page.evaluate("() => window.ran") is None


def test_rows_stay_where_they_are_under_a_pointer(theatre: Theatre, seat: Seat) -> None:
    asking = [theatre.start("question", name=f"asks-{place}") for place in range(3)]
    page = seat.look()
    order = "() => [...document.querySelectorAll('.strip')].map((row) => row.dataset.id)"
    page.locator(".strip").nth(1).hover()
    before = page.evaluate(order)

    theatre.do(_replied(theatre, asking[1]))

    expect(page.get_by_role("button", name="stand elsewhere by now")).to_be_visible()
    assert page.evaluate(order) == before
    page.mouse.move(900, 500)
    eventually(lambda: asking[1] not in page.evaluate(order), page)


def test_a_page_that_is_hidden_listens_to_nobody_and_catches_up(theatre: Theatre, seat: Seat) -> None:
    cid = theatre.start("question", name="asks-first")
    page = seat.look()
    expect(page.locator("span.line")).to_have_text("live")
    _hide(page, hidden=True)
    expect(page.locator("span.line")).to_have_text("paused")

    theatre.do(_replied(theatre, cid))
    page.wait_for_timeout(400)
    assert page.evaluate(IN_SIGHT, "asks-first") == "asks you"
    _hide(page, hidden=False)
    eventually(lambda: page.evaluate(IN_SIGHT, "asks-first") != "asks you", page)


def test_the_address_holds_the_whole_sight(theatre: Theatre, seat: Seat, browser: Browser) -> None:
    cid = theatre.scout(name="watcher")
    other = theatre.start(name="other")
    page = seat.look()
    page.get_by_label("Search continuations").fill("e")
    page.locator(f"[data-id='{cid}']").click()
    page.get_by_role("button", name="Select other").click()
    page.get_by_role("row", name="thinking").click()
    address = page.url

    second = Seat(browser, theatre)
    second.page.goto(address)
    second.page.wait_for_selector(f"[data-id='{cid}']")
    expect(second.page.get_by_role("heading", level=1)).to_have_text("watcher")
    expect(second.page.locator(".strip.selected")).to_have_attribute("data-id", other)
    expect(second.page.get_by_label("Search continuations")).to_have_value("e")
    second.close()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("watcher")


def test_a_tree_unfolds_its_branches_with_their_budgets(theatre: Theatre, seat: Seat) -> None:
    theatre.scout(name="parent")
    theatre.item("A paper for a child")
    page = seat.look("?tree=1")
    parent = page.locator(".strip", has_text="parent")
    expect(parent).to_have_attribute("aria-expanded", "false")
    rows = page.locator(".strip").count()

    parent.get_by_role("button", name="Unfold").click()

    expect(page.locator(".strip")).to_have_count(rows + 1)
    expect(page.locator(".strip[aria-level='3'] .bar")).to_have_count(1)


def _hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        hidden,
    )


async def _replied(theatre: Theatre, cid: str) -> None:
    await verbs.reply(theatre.at, ContinuationId(cid), "the appendix, yes")
    await theatre.swarm.stage.settle()
