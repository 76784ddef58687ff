"""The algebra of fading, against the formula it stands for; and a field against a bare sort."""

import math
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.field.decay import BETA, floor_key, merge_top, rank_key, weight
from maestro.field.entry import Entry, EntryState, SourceKind
from maestro.field.project import Delta, Field, project, top, weigh
from maestro.ids import EntryId, TimeMs
from tests.unit.field.entries import DAY_MS, NOW, an_entry


class Fact(NamedTuple):
    """What of an entry its weight depends on."""

    score: float
    reinforcements: int
    last_ms: TimeMs

    def key(self, half_life_ms: int) -> float:
        return rank_key(self.score, self.reinforcements, self.last_ms, half_life_ms)

    def log2_weight(self, half_life_ms: int, now_ms: TimeMs) -> float:
        """As spec/03 section 5 has it, without the algebra."""
        reinforcement = 1 + BETA * math.log1p(self.reinforcements)
        return math.log2(self.score * reinforcement) - (now_ms - self.last_ms) / half_life_ms


scores = st.floats(0.001, 1)
facts = st.builds(Fact, scores, st.integers(0, 1_000), st.integers(NOW - 400 * DAY_MS, NOW).map(TimeMs))
half_lives = st.integers(60_000, 400 * DAY_MS)
moments = st.integers(NOW, NOW + 400 * DAY_MS).map(TimeMs)


@given(facts, half_lives, moments)
def test_a_key_is_worth_what_the_formula_says_at_any_time(fact: Fact, half_life_ms: int, now: TimeMs) -> None:
    worth = weight(fact.key(half_life_ms), half_life_ms, now)
    assert worth == pytest.approx(math.exp2(fact.log2_weight(half_life_ms, now)), rel=1e-4, abs=1e-300)


@given(facts, facts, half_lives, moments)
def test_order_of_keys_is_order_of_weights_at_any_time(a: Fact, b: Fact, half_life_ms: int, now: TimeMs) -> None:
    apart = a.log2_weight(half_life_ms, now) - b.log2_weight(half_life_ms, now)
    if abs(apart) > 1e-6:  # nearer than that, doubles at 2**24 half-lives since 1970 cannot tell
        assert (a.key(half_life_ms) > b.key(half_life_ms)) == (apart > 0)


@given(st.lists(facts, min_size=2, max_size=30), half_lives, moments, moments)
def test_the_order_inside_a_set_never_changes_by_itself(
    rows: list[Fact], half_life_ms: int, one: TimeMs, other: TimeMs
) -> None:
    keys = sorted(row.key(half_life_ms) for row in rows)
    for now in (one, other):
        assert all(weight(a, half_life_ms, now) <= weight(b, half_life_ms, now) for a, b in pairwise(keys))


@given(facts, half_lives, moments, st.floats(0.001, 0.9))
def test_below_the_floor_key_is_below_the_floor(fact: Fact, half_life_ms: int, now: TimeMs, floor: float) -> None:
    key = fact.key(half_life_ms)
    worth = weight(key, half_life_ms, now)
    if worth != pytest.approx(floor, rel=1e-6):
        assert (key < floor_key(half_life_ms, now, floor)) == (worth < floor)


@given(facts, half_lives)
def test_reinforcing_raises_a_rank(fact: Fact, half_life_ms: int) -> None:
    reinforced = fact._replace(reinforcements=fact.reinforcements + 1)
    assert reinforced.key(half_life_ms) > fact.key(half_life_ms)


@given(
    st.dictionaries(st.integers(DAY_MS, 90 * DAY_MS), st.lists(facts, max_size=20), max_size=5),
    moments,
    st.integers(0, 30),
)
def test_a_merge_of_tops_is_the_top_of_all(sets: dict[int, list[Fact]], now: TimeMs, n: int) -> None:
    ranked = {
        half_life: sorted(((row.key(half_life), EntryId(f"#{at}")) for at, row in enumerate(rows)), reverse=True)
        for half_life, rows in sets.items()
    }
    everything = sorted((weight(key, h, now) for h, rows in ranked.items() for key, _ in rows), reverse=True)
    tops = {half_life: rows[:n] for half_life, rows in ranked.items()}
    assert [worth for worth, _ in merge_top(tops, n, now)] == pytest.approx(everything[:n])


class Step(NamedTuple):
    """One thing that happens to one entry of a field."""

    verb: str
    name: str
    score: float
    wait_ms: int


names = st.sampled_from([f"e{number}" for number in range(8)])
verbs = st.sampled_from(["add", "reinforce", "score", *EntryState])
steps = st.lists(st.builds(Step, verbs, names, scores, st.integers(0, 5 * DAY_MS)), max_size=40)


def after(field: Field, step: Step, entry: Entry, now: TimeMs) -> Field:
    if step.verb == "add":
        return project(field, Delta(now, (entry,)), {entry.id: step.score})
    if entry.id not in field.entries:
        return project(field, Delta(now), {})
    if step.verb == "reinforce":
        return project(field, Delta(now, reinforced=(entry.id,)), {})
    if step.verb == "score":
        return project(field, Delta(now), {entry.id: step.score})
    return project(field, Delta(now, states={entry.id: EntryState(step.verb)}), {})


@given(steps, st.dictionaries(names, st.sampled_from(list(SourceKind))))
def test_a_field_after_any_history_reads_like_a_bare_sort_of_its_entries(
    history: list[Step], kind_of: dict[str, SourceKind]
) -> None:
    field, now = Field(), NOW
    for step in history:
        now = TimeMs(now + step.wait_ms)
        kind = kind_of.get(step.name, SourceKind.FEED)
        field = after(field, step, an_entry(step.name, at_ms=now, score=step.score, kind=kind), now)
    shown = [entry for entry in field.entries.values() if entry.state is EntryState.SHOWN]
    pinned = [entry for entry in field.entries.values() if entry.state is EntryState.PINNED]
    assert sorted(name for rows in field.ranks.values() for _, name in rows) == sorted(entry.id for entry in shown)
    assert sorted(field.pinned) == sorted(entry.id for entry in pinned)
    assert all(list(rows) == sorted(rows) for rows in field.ranks.values())
    read = top(field, len(field.entries), now)
    assert [it.entry.id for it in read[: len(pinned)]] == list(field.pinned)
    expected = sorted((weigh(field, entry, now) for entry in shown), reverse=True)
    assert [it.weight for it in read[len(pinned) :]] == pytest.approx(expected)
