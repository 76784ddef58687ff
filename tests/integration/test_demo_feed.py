"""The demo's feed: invented, in arXiv's layout, and it says which item is for whom."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from maestro.cli.demo.feed import FEED_PATH, DemoFeed, announcements


@pytest.fixture
def feed() -> Iterator[DemoFeed]:
    with DemoFeed() as running:
        yield running


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_every_day_has_items_for_some_goals_and_many_for_nobody() -> None:
    world = announcements()
    assert len(world.days) >= 4
    for day in world.days:
        wanted = [paper for paper in day.items if paper.relevant_to]
        served = {goal for paper in wanted for goal in paper.relevant_to}
        assert len(day.items) == 8
        assert 2 <= len(wanted) <= 4
        assert all(len(day.relevant_to(goal)) <= 2 for goal in world.goals)
        assert served <= world.goals.keys()
    for goal in world.goals:
        counts = [len(day.relevant_to(goal)) for day in world.days]
        assert sum(counts) >= 3
    assert [len(day.relevant_to("molecules")) for day in world.days] == [1, 0, 1, 2, 0]


def test_nobody_takes_an_item_for_a_paper_and_no_two_are_the_same() -> None:
    papers = [paper for day in announcements().days for paper in day.items]
    assert all(re.fullmatch(r"2999\.\d{5}", paper.number) for paper in papers)
    assert all(paper.link.startswith("https://example.org/abs/2999.") for paper in papers)
    assert all(paper.abstract.count(".") - paper.abstract.count("0.") >= 3 for paper in papers)
    for texts in ([p.number for p in papers], [p.title for p in papers], [p.abstract for p in papers]):
        assert len(set(texts)) == len(papers)


def test_a_day_is_served_with_validators_and_counted(feed: DemoFeed) -> None:
    status, body, headers = ask(feed.url)
    assert (status, headers["Content-Type"]) == (200, "application/rss+xml")
    assert feed.days[0].items[0].title.encode() in body
    assert ask(feed.url, If_None_Match=headers["ETag"])[0] == 304
    assert ask(feed.url, If_None_Match='"other"')[0] == 200
    assert json.loads(ask(feed.url.replace(FEED_PATH, "/counts"))[1]) == {"documents": 2, "not_modified": 1}


def test_days_go_by_until_the_last(feed: DemoFeed) -> None:
    advance = feed.url.replace(FEED_PATH, "/advance")
    first = ask(feed.url)[2]["ETag"]
    for day in feed.days[1:]:
        assert json.loads(ask(advance, "POST")[1]) == {"day": day.date}
        assert day.items[0].link.encode() in ask(feed.url)[1]
    assert ask(advance, "POST")[0] == 409
    assert ask(feed.url, If_None_Match=first)[0] == 200
    assert ask(feed.url.replace(FEED_PATH, "/elsewhere"))[0] == 404
    assert ask(feed.url, "POST")[0] == 404


def test_it_serves_alone_as_a_process_of_its_own() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "maestro.cli.demo.feed"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert ask(url)[0] == 200
        process.terminate()
