"""The main job on real data: three monitors sleep on eleven announcement days, and an actor dies each day.

What is relevant is not asked of the running system: the test computes it from the data, with the `local` engine.
How well that engine agrees with a person is measured against the lists of tests/data/relevance.json.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from maestro.continuation.goal import GoalFrame
from maestro.field.local import relevance
from maestro.field.ranker import RELEVANT
from tests.e2e.support import Site, eventually, site
from tests.integration.feed_support import ArxivServer, days, link_of, mended, papers
from tests.integration.test_relevance import GOALS, RECALL
from tests.judged import Document

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

MINE = {goal.name: goal for goal in GOALS if goal.name in ("reinforcement-learning", "audio", "recommender-systems")}
GRANT_USD = 20
SEED = 2024


@dataclass
class Story:
    """What was there when all days were over and everybody slept again."""

    site: Site
    papers: dict[str, Document]
    """Link -> paper, of all days."""
    roots: dict[str, str] = field(default_factory=dict)
    """Goal -> continuation."""
    killed: list[tuple[str, bool]] = field(default_factory=list)
    """Which actor, and whether it was thinking."""
    approvals: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Event -> link of its paper."""
    findings: list[dict[str, Any]] = field(default_factory=list)

    def relevant(self, goal: str) -> set[str]:
        """What the engine judges relevant, by itself."""
        frame = GoalFrame(goal=MINE[goal].goal)
        return {link for link, paper in self.papers.items() if relevance(frame, paper) >= RELEVANT}

    def consumed(self, cid: str) -> list[str]:
        """Links of the events in the log, in order."""
        notes = [note for record in self.logs[cid] for note in record["consumed"] if note["kind"] == "event"]
        return [self.links[note["id"]] for note in notes]

    def spawns(self, goal: str) -> list[dict[str, Any]]:
        directives = [d for record in self.logs[self.roots[goal]] for d in record["directives"]]
        return [d for d in directives if d["type"] == "spawn"]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    data = mended(tmp_path_factory.mktemp("arxiv"))
    found = {link_of(paper): _document(paper) for day in days() for paper in papers(data, day)}
    with site() as here:
        print(f"\nup: {here.up():.1f} s")
        told = Story(here, found)
        feed = ArxivServer(data)
        try:
            _live_through(told, feed, data)
        finally:
            feed.close()
        _look(told)
        yield told
        print(f"down: {here.down():.1f} s")
        assert here.traces() == []


def _live_through(told: Story, feed: ArxivServer, data: Path) -> None:
    here, chance, served = told.site, random.Random(SEED), 0
    for name, goal in MINE.items():
        told.roots[name] = here.start("literature", "--goal", goal.goal, "--budget", f"usd={GRANT_USD}", name=name).id
    eventually(here.is_quiet, bool)
    for day in days():
        pool = eventually(lambda: here.actors("pool/default/"), lambda now: len(now) == here.settings.pool_size)
        served += len(papers(data, day))
        if day == days()[0]:
            here.tell("sources", "--add", f"arxiv.cs.AI={feed.url}", "--every-s", "1")
        else:
            assert feed.advance() == day
        _kill_one(told, pool, chance, served)
        eventually(lambda: _is_over(here, served), bool)  # noqa: B023 - called before the next day begins
        _approve(told)
        eventually(here.is_quiet, bool)


def _kill_one(told: Story, pool: dict[str, psutil.Process], chance: random.Random, served: int) -> None:
    """Kill -9 of an actor that thinks about this day, or of any when the day gives nobody anything to think about."""
    here = told.site
    handles = [here.client.get(cid) for cid in told.roots.values()]

    def thinking() -> list[str]:
        return sorted({holder.partition("#")[0] for handle in handles if (holder := here.glance(handle).holder)})

    found = eventually(lambda: (thinking(), _is_over(here, served)), any, every_s=0.001)[0]
    victim = chance.choice(found or sorted(pool))
    pool[victim].kill()
    told.killed.append((victim, bool(found)))


def _is_over(here: Site, served: int) -> bool:
    """All papers so far were published, and what follows from them has happened."""
    record = here.source("arxiv-cs-AI")
    return record is not None and record.items_published == served and here.is_quiet()


def _approve(told: Story) -> None:
    """A person says yes to whatever is asked."""
    for asked in told.site.tell("waits"):
        for approval in asked["asked"]:
            told.site.tell("approve", asked["id"], approval["approval_id"])
            told.approvals += 1


def _look(told: Story) -> None:
    here = told.site
    told.rows = here.tell("list")
    told.logs = {row["id"]: here.client.get(row["id"]).log() for row in told.rows}
    events = here.tell("events", "arxiv.cs.AI", "--limit", "5000")
    told.links = {event["id"]: event["payload"]["link"] for event in events}
    told.findings = here.tell("findings")


def _document(paper: dict[str, object]) -> Document:
    return Document(" ".join(str(paper["title"]).split()), " ".join(str(paper["abstract"]).split()))


def test_each_paper_is_published_once(story: Story) -> None:
    assert Counter(story.links.values()) == Counter(story.papers.keys())
    assert len(story.papers) == 283


@pytest.mark.spec("04.1")
@pytest.mark.shows("5.1")
@pytest.mark.parametrize("goal", MINE)
def test_each_relevant_paper_wakes_its_monitor_once_and_no_other_wakes_it(story: Story, goal: str) -> None:
    assert Counter(story.consumed(story.roots[goal])) == Counter(story.relevant(goal))


def test_monitors_alone_were_woken_by_papers(story: Story) -> None:
    woken = {cid for cid in story.logs if story.consumed(cid)}
    assert woken <= set(story.roots.values())


@pytest.mark.parametrize("goal", MINE)
def test_each_paper_that_the_model_finds_relevant_gets_one_reader(story: Story, goal: str) -> None:
    state = story.site.state(goal)
    spawned = [story.links[directive["input"]["event"]] for directive in story.spawns(goal)]
    assert state["seen"] == len(story.relevant(goal))
    assert len(spawned) == len(set(spawned)) == state["relevant"]
    assert set(spawned) <= story.relevant(goal)
    readers = {row["id"] for row in story.rows if row["parent"] == story.roots[goal]}
    assert readers == {directive["child"] for directive in story.spawns(goal)}
    assert state["readers"] == {}
    print(f"\n{goal}: {len(spawned)} readers, {state['seen'] - state['relevant']} papers refused by the model")


def test_every_reader_is_done_and_left_one_finding_about_its_paper(story: Story) -> None:
    papers_of = {d["child"]: story.links[d["input"]["event"]] for goal in MINE for d in story.spawns(goal)}
    readers = {row["id"]: row["status"] for row in story.rows if row["behaviour"] == "reader"}
    assert set(readers.values()) == {"completed"}
    assert Counter(finding["continuation"] for finding in story.findings) == Counter(readers.keys())
    for finding in story.findings:
        (link,) = finding["links"]
        assert link == papers_of[finding["continuation"]]
        assert story.papers[link].title == finding["title"]
        assert story.links[finding["evidence"][0]] == link


@pytest.mark.parametrize("goal", MINE)
def test_the_monitor_finds_what_a_person_would_open(story: Story, goal: str) -> None:
    woken = {link.rsplit("/", 1)[-1] for link in story.consumed(story.roots[goal])}
    hits = woken & MINE[goal].ids
    recall, precision = len(hits) / len(MINE[goal].ids), len(hits) / len(woken)
    print(
        f"\n{goal}: recall {recall:.2f}, precision {precision:.2f}, {len(woken)} of {len(story.papers)} papers woke it"
    )
    assert recall >= RECALL


def test_no_call_was_paid_twice_and_every_cent_is_accounted_for(story: Story) -> None:
    charged = {cid: sum(record["charges"].get("usd", 0) for record in log) for cid, log in story.logs.items()}
    ledgers = {cid: story.site.ledger(cid).account("usd") for cid in story.logs}
    assert {cid: account.spent for cid, account in ledgers.items()} == charged
    for cid, account in ledgers.items():
        assert (cid, account.reserved) == (cid, 0)
        lent = sum(ledgers[row["id"]].granted or 0 for row in story.rows if row["parent"] == cid)
        assert (cid, account.lent) == (cid, lent)
        assert account.granted == (account.free or 0) + account.spent + account.lent
    for goal, root in story.roots.items():
        family = [row["id"] for row in story.rows if root in (row["id"], row["parent"])]
        spent = sum(charged[cid] for cid in family)
        assert (ledgers[root].free or 0) + spent == GRANT_USD * 1_000_000
        print(f"\n{goal}: {len(family) - 1} readers, ${spent / 1e6:.2f} spent")


def test_every_log_is_whole_and_leads_to_its_checkpoint(story: Story) -> None:
    for log in story.logs.values():
        assert [record["rev"] for record in log] == list(range(1, len(log) + 1))
    story.site.run("verify")


def test_why_answers_for_everybody(story: Story) -> None:
    assert all(story.site.client.get(row["id"]).why() for row in story.rows)
    assert {row["activity"] for row in story.rows} == {"sleeping", "done"}


def test_an_actor_died_on_each_day(story: Story) -> None:
    counts = story.site.counts()
    thinking = sum(was_thinking for _, was_thinking in story.killed)
    print(f"\n{len(story.killed)} actors killed, {thinking} of them thinking; {counts['reclaimed']} taken back")
    assert len(story.killed) == len(days())
    assert counts["reclaimed"] >= 1
    assert counts["dead_letters"] == 0
