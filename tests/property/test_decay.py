"""The algebra of fading, against the formula it stands for; and a field against a bare sort."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.field.decay import BETA, floor_key, merge_top, rank_key, weight
from maestro.field.entry import EntryState, SourceKind
from maestro.field.project import Delta, Field, project, top, weigh
from tests.unit.field.entries import DAY_MS, NOW, an_entry

scores = st.floats(0.001, 1)
counts = st.integers(0, 1_000)
times = st.integers(NOW - 400 * DAY_MS, NOW)
half_lives = st.integers(60_000, 400 * DAY_MS)
later = st.integers(0, 400 * DAY_MS)
facts = st.tuples(scores, counts, times)


def formula(score: float, reinforcements: int, last_ms: int, half_life_ms: int, now_ms: int) -> float:
    """log2 of the weight, written as spec/03 section 5 has it."""
    return math.log2(score) + math.log2(1 + BETA * math.log1p(reinforcements)) - (now_ms - last_ms) / half_life_ms


@given(facts, half_lives, later)
def test_a_key_is_worth_what_the_formula_says_at_any_time(fact, half_life_ms, wait_ms) -> None:
    now = NOW + wait_ms
    worth = weight(rank_key(*fact, half_life_ms), half_life_ms, now)
    assert worth == pytest.approx(2 ** formula(*fact, half_life_ms, now), rel=1e-4, abs=1e-300)


@given(facts, facts, half_lives, later)
def test_order_of_keys_is_order_of_weights_at_any_time(one, other, half_life_ms, wait_ms) -> None:
    a, b = rank_key(*one, half_life_ms), rank_key(*other, half_life_ms)
    now = NOW + wait_ms
    apart = formula(*one, half_life_ms, now) - formula(*other, half_life_ms, now)
    if abs(apart) > 1e-6:  # nearer than that, doubles at 2**24 half-lives since 1970 cannot tell
        assert (a > b) == (apart > 0)


@given(st.lists(facts, min_size=2, max_size=30), half_lives, later, later)
def test_the_order_inside_a_set_never_changes_by_itself(rows, half_life_ms, first_ms, second_ms) -> None:
    keys = sorted(rank_key(*row, half_life_ms) for row in rows)
    for now in (NOW + first_ms, NOW + second_ms):
        assert all(weight(a, half_life_ms, now) <= weight(b, half_life_ms, now) for a, b in pairwise(keys))


@given(facts, half_lives, later, st.floats(0.001, 0.9))
def test_below_the_floor_key_is_below_the_floor(fact, half_life_ms, wait_ms, floor) -> None:
    now = NOW + wait_ms
    key = rank_key(*fact, half_life_ms)
    worth = weight(key, half_life_ms, now)
    if worth != pytest.approx(floor, rel=1e-6):
        assert (key < floor_key(half_life_ms, now, floor)) == (worth < floor)


@given(facts, half_lives)
def test_reinforcing_never_lowers_a_rank(fact, half_life_ms) -> None:
    score, count, last = fact
    assert rank_key(score, count + 1, last + 1, half_life_ms) > rank_key(score, count, last, half_life_ms)


@given(
    st.dictionaries(st.integers(DAY_MS, 90 * DAY_MS), st.lists(facts, max_size=20), max_size=5),
    later,
    st.integers(0, 30),
)
def test_a_merge_of_tops_is_the_top_of_all(sets, wait_ms, n) -> None:
    now = NOW + wait_ms
    ranked = {
        half_life: sorted(((rank_key(*row, half_life), f"#{at}") for at, row in enumerate(rows)), reverse=True)
        for half_life, rows in sets.items()
    }
    everything = sorted((weight(k, h, now) for h, rows in ranked.items() for k, _ in rows), reverse=True)
    tops = {half_life: rows[:n] for half_life, rows in ranked.items()}
    assert [w for w, _ in merge_top(tops, n, now)] == pytest.approx(everything[:n])


names = st.sampled_from([f"e{i}" for i in range(8)])
kinds = st.sampled_from(list(SourceKind))
steps = st.lists(
    st.tuples(st.sampled_from(["add", "reinforce", "score", *EntryState]), names, scores, st.integers(0, 5 * DAY_MS)),
    max_size=40,
)


@given(steps, st.dictionaries(names, kinds))
def test_a_field_after_any_history_reads_like_a_bare_sort_of_its_entries(history, kind_of) -> None:
    field, now = Field(), NOW
    for verb, name, score, wait_ms in history:
        now += wait_ms
        entry = an_entry(name, at_ms=now, score=score, kind=kind_of.get(name, SourceKind.FEED))
        if verb == "add":
            field = project(field, Delta(now, (entry,)), {entry.id: score})
        elif entry.id in field.entries and verb == "reinforce":
            field = project(field, Delta(now, reinforced=(entry.id,)), {})
        elif entry.id in field.entries and verb == "score":
            field = project(field, Delta(now), {entry.id: score})
        elif entry.id in field.entries:
            field = project(field, Delta(now, states={entry.id: EntryState(verb)}), {})
    shown = [e for e in field.entries.values() if e.state is EntryState.SHOWN]
    assert sorted(name for rows in field.ranks.values() for _, name in rows) == sorted(e.id for e in shown)
    assert all(list(rows) == sorted(rows) for rows in field.ranks.values())
    expected = sorted((w for w in (weigh(field, e, now) for e in shown) if w >= field.fading.evict_floor), reverse=True)
    ranked = [it.weight for it in top(field, 100, now) if it.entry.state is EntryState.SHOWN]
    assert ranked == pytest.approx(expected)
