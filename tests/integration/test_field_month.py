"""A field over 30 days of the same feed on repeat: it neither fills up nor sinks, and time alone costs nothing."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence

import pytest

from maestro.continuation.goal import GoalFrame
from maestro.field import project as projecting
from maestro.field.entry import Entry, entry_id
from maestro.field.local import LocalRanker
from maestro.field.project import Delta, Field, project, top, weigh
from maestro.field.ranker import Rankable
from maestro.field.steady import rank
from maestro.ids import EntryId, TimeMs
from tests.judged import mended, require
from tests.unit.field.entries import DAY_MS, NOW, an_entry

DAYS = 30
GOAL = GoalFrame(goal="Reinforcement learning agents that plan with large language models")
BAND = 0.10


class Counting:
    """The `local` engine, with a count of what it was asked."""

    def __init__(self) -> None:
        self.scored: Counter[str] = Counter()

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        self.scored.update(entry.title for entry in entries)
        return await LocalRanker().score(goal, entries)


def announced() -> list[list[Entry]]:
    """The papers of each announcement day, unscored."""
    days = []
    for path in sorted(require("arxiv-daily").glob("*.jsonl")):
        papers = [json.loads(mended(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        days.append([_entry(paper["pdf_link"], paper["title"], paper["abstract"]) for paper in papers])
    return days


def _entry(key: str, title: str, body: str) -> Entry:
    return an_entry(title, body=body[:4_000], score=0).model_copy(update={"id": entry_id("arxiv", key)})


class Month:
    """A field that reads the feed on repeat, a day at a time."""

    def __init__(self) -> None:
        self.field, self.ranker, self.seen = Field(), Counting(), set[EntryId]()
        self.days = announced()

    def arrive(self, day: int) -> TimeMs:
        """What is announced on that day is in the field; only what was never ranked is scored."""
        now = TimeMs(NOW + day * DAY_MS)
        found = [
            entry.model_copy(update={"created_at_ms": now, "last_reinforced_at_ms": now})
            for entry in self.days[day % len(self.days)]
        ]
        new = [entry for entry in {it.id: it for it in found}.values() if entry.id not in self.field.entries]
        ranking = asyncio.run(rank(self.ranker, GOAL, new, deadline_ms=60_000))
        scores = {entry.id: score for entry, score in zip(new, ranking.scores, strict=True)}
        self.field = project(self.field, Delta(now, tuple(found)), scores)
        self.seen |= {entry.id for entry in found}
        return now

    def share_above_floor(self, now: TimeMs) -> float:
        """Of all that it ever saw, the share that it would still read."""
        return len(top(self.field, len(self.field.entries), now)) / len(self.seen)


@pytest.fixture(scope="module")
def month() -> tuple[Month, list[float]]:
    """A month that has passed, and on each of its days the share above the floor."""
    passing = Month()
    shares = [passing.share_above_floor(passing.arrive(day)) for day in range(DAYS)]
    print(f"\nshare above the floor, by day: {[round(share, 3) for share in shares]}; {len(passing.seen)} papers")
    return passing, shares


@pytest.mark.shows("7.4")
def test_over_a_month_on_repeat_the_share_above_the_floor_stays_within_a_tenth(
    month: tuple[Month, list[float]],
) -> None:
    _, shares = month
    assert max(shares) - min(shares) <= BAND
    assert max(shares) <= 1


@pytest.mark.shows("7.4")
def test_a_month_later_ranks_still_decide_and_the_best_have_not_sunk(month: tuple[Month, list[float]]) -> None:
    passed, _ = month
    now = TimeMs(NOW + (DAYS - 1) * DAY_MS)
    heaviest = top(passed.field, 20, now)
    scores = sorted((entry.score for entry in passed.field.entries.values()), reverse=True)
    median = scores[len(scores) // 2]
    assert all(it.entry.score > median for it in heaviest)
    assert heaviest[0].weight > 0.5


@pytest.mark.shows("7.4")
@pytest.mark.spec("03.4")
def test_what_stays_in_the_field_was_scored_when_it_came_and_never_again(month: tuple[Month, list[float]]) -> None:
    passed, _ = month
    stayed = [entry for entry in passed.field.entries.values() if entry.score > 0.1]
    assert len(stayed) > 100
    assert {passed.ranker.scored[entry.title] for entry in stayed} == {1}
    assert max(entry.reinforcements for entry in stayed) == 2  # three rounds of the feed, and two times found again


@pytest.mark.shows("7.4")
def test_a_year_of_reading_computes_no_rank(month: tuple[Month, list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
    passed, _ = month
    computed = []
    monkeypatch.setattr(projecting, "rank_key", lambda *given: computed.append(given))
    before = passed.ranker.scored.total()
    sizes = [len(top(passed.field, 1_000, TimeMs(NOW + day * DAY_MS))) for day in range(DAYS, DAYS + 365)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
    assert (computed, passed.ranker.scored.total()) == ([], before)


@pytest.mark.shows("7.4")
@pytest.mark.spec("03.4")
def test_a_reinforced_entry_outlives_its_peers(month: tuple[Month, list[float]]) -> None:
    passed, _ = month
    now = TimeMs(NOW + DAYS * DAY_MS)
    by_score = sorted(passed.field.entries.values(), key=lambda entry: entry.score)
    chosen = by_score[len(by_score) // 2].id
    field = passed.field
    for _ in range(20):
        now = TimeMs(now + 7 * DAY_MS)
        field = project(field, Delta(now, reinforced=(chosen,)), {})
        if len(field.entries) == 1:
            break
    assert list(field.entries) == [chosen]
    assert weigh(field, field.entries[chosen], now) > 0.1
