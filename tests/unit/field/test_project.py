import pytest

from maestro.errors import InvalidInput
from maestro.field.decay import HALF_LIFE_MS
from maestro.field.entry import EntryState, SourceKind
from maestro.field.project import Delta, Fading, Field, project, top, weigh
from maestro.ids import EntryId, TimeMs
from tests.unit.field.entries import DAY_MS, NOW, after, an_entry

STRANGER = EntryId("#stranger00")


def a_field(*entries, at_ms=NOW, fading=None):
    empty = Field(fading) if fading else Field()
    return project(empty, Delta(at_ms, entries), {entry.id: entry.score for entry in entries})


def titles(field, n=10, now_ms=NOW):
    return [it.entry.title for it in top(field, n, now_ms)]


def test_the_top_is_the_heaviest_first() -> None:
    field = a_field(an_entry("low", score=0.2), an_entry("high", score=0.9), an_entry("mid", score=0.5))
    assert titles(field) == ["high", "mid", "low"]
    assert titles(field, n=2) == ["high", "mid"]
    assert top(field, 1, NOW)[0].weight == pytest.approx(0.9)


def test_a_longer_half_life_overtakes_as_time_goes_by_and_no_rank_is_recomputed() -> None:
    field = a_field(
        an_entry("event", score=0.9, kind=SourceKind.EVENT), an_entry("finding", score=0.5, kind=SourceKind.FINDING)
    )
    assert titles(field) == ["event", "finding"]
    assert titles(field, now_ms=after(7 * DAY_MS)) == ["finding", "event"]


def test_an_entry_that_nothing_reinforces_leaves_after_its_half_lives() -> None:
    fading = Fading(evict_floor=0.1)
    field = a_field(an_entry("fades", score=0.8), an_entry("stays", score=0.8), fading=fading)
    stays = next(e.id for e in field.entries.values() if e.title == "stays")
    later = after(4 * HALF_LIFE_MS[SourceKind.FEED])  # 0.8 / 16 = 0.05
    kept = project(field, Delta(TimeMs(later - 1), reinforced=(stays,)), {})
    assert titles(kept, now_ms=later) == ["stays"]
    assert [e.title for e in kept.entries.values()] == ["stays"]


def test_what_faded_is_not_shown_even_before_anybody_evicts_it() -> None:
    field = a_field(an_entry("old", score=0.5))
    assert titles(field, now_ms=after(10 * HALF_LIFE_MS[SourceKind.FEED])) == []


def test_new_evidence_brings_an_evicted_entry_back() -> None:
    field = a_field(an_entry("paper"))
    later = after(10 * HALF_LIFE_MS[SourceKind.FEED])
    gone = project(field, Delta(later), {})
    assert gone.entries == {}
    again = an_entry("paper", at_ms=later)
    assert titles(project(gone, Delta(later, (again,)), {again.id: 0.7}), now_ms=later) == ["paper"]


def test_found_again_is_reinforced_and_reads_as_today() -> None:
    first = an_entry("paper", body="v1")
    field = a_field(first)
    second = an_entry("paper", at_ms=NOW + DAY_MS, body="v2", score=0)
    paper = project(field, Delta(after(DAY_MS), (second,)), {first.id: 0.5}).entries[first.id]
    assert (paper.body, paper.reinforcements, paper.last_reinforced_at_ms) == ("v2", 1, NOW + DAY_MS)
    assert paper.created_at_ms == NOW


def test_the_same_entry_twice_in_one_delta_is_one_entry() -> None:
    entry = an_entry("paper")
    field = a_field(entry, entry)
    assert len(field.entries) == 1
    assert sum(map(len, field.ranks.values())) == 1


def test_a_reinforcement_from_the_past_does_not_make_an_entry_older() -> None:
    entry = an_entry("paper")
    paper = project(a_field(entry), Delta(after(-DAY_MS), reinforced=(entry.id,)), {}).entries[entry.id]
    assert paper.last_reinforced_at_ms == NOW
    assert paper.reinforcements == 1


def test_pinned_entries_come_first_in_a_fixed_order_do_not_fade_and_are_never_cut() -> None:
    pins = [an_entry("late pin", at_ms=NOW + 1, score=0.9), an_entry("early pin", score=0.1)]
    field = a_field(*pins, an_entry("other", score=1.0))
    pinned = project(field, Delta(NOW, states={e.id: EntryState.PINNED for e in pins}), {})
    assert titles(pinned) == ["early pin", "late pin", "other"]
    assert titles(pinned, n=1) == ["early pin", "late pin"]
    much_later = after(100 * HALF_LIFE_MS[SourceKind.FEED])
    assert titles(project(pinned, Delta(much_later), {}), now_ms=much_later) == ["early pin", "late pin"]


def test_hidden_is_out_of_the_top_and_comes_back_at_its_rank() -> None:
    entry = an_entry("a", score=0.9)
    field = a_field(entry, an_entry("b", score=0.5))
    hidden = project(field, Delta(NOW, states={entry.id: EntryState.HIDDEN}), {})
    assert titles(hidden) == ["b"]
    shown = project(hidden, Delta(NOW, states={entry.id: EntryState.SHOWN}), {})
    assert titles(shown) == ["a", "b"]


def test_a_new_goal_ranks_anew() -> None:
    a, b = an_entry("a", score=0.9), an_entry("b", score=0.1)
    field = a_field(a, b)
    assert titles(project(field, Delta(NOW), {a.id: 0.1, b.id: 0.9})) == ["b", "a"]


def test_without_scores_the_last_ranks_stay_and_the_field_is_stale() -> None:
    old, new = an_entry("old", score=0.5), an_entry("new", score=0.3)
    stale = project(a_field(old), Delta(NOW, (new,)), {})
    assert stale.stale
    assert stale.unscored == {new.id}
    assert titles(stale) == ["old", "new"]
    fresh = project(stale, Delta(NOW), {new.id: 0.8})
    assert not fresh.stale
    assert titles(fresh) == ["new", "old"]


def test_nothing_new_changes_nothing_and_each_change_raises_the_version() -> None:
    field = a_field(an_entry("a"))
    assert project(field, Delta(NOW), {}) is field
    assert project(field, Delta(NOW, (an_entry("b"),)), {}).version == field.version + 1


def test_project_leaves_the_field_it_was_given_as_it_was() -> None:
    field = a_field(an_entry("a"))
    before = (dict(field.entries), dict(field.ranks), field.version)
    project(field, Delta(NOW, (an_entry("b"),)), {})
    assert (dict(field.entries), dict(field.ranks), field.version) == before


@pytest.mark.parametrize(
    ("delta", "scores", "verb"),
    [
        (Delta(NOW, reinforced=(STRANGER,)), {}, "reinforce"),
        (Delta(NOW, states={STRANGER: EntryState.HIDDEN}), {}, "set the state of"),
        (Delta(NOW), {STRANGER: 0.5}, "score"),
    ],
)
def test_an_unknown_entry_is_refused_and_nothing_changes(delta, scores, verb) -> None:
    with pytest.raises(InvalidInput, match=f"cannot {verb} {STRANGER}"):
        project(a_field(an_entry("a")), delta, scores)


def test_weigh_agrees_with_the_top() -> None:
    entry = an_entry("a", score=0.7)
    field = a_field(entry)
    later = after(3 * DAY_MS)
    assert weigh(field, field.entries[entry.id], later) == pytest.approx(top(field, 1, later)[0].weight)
