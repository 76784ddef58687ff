import doctest
import math

import pytest

from maestro.errors import InvalidInput
from maestro.field import decay, entry, text
from maestro.field.decay import HALF_LIFE_MS, floor_key, half_lives, merge_top, rank_key, weight
from maestro.field.entry import SourceKind
from maestro.ids import EntryId
from tests.unit.field.entries import DAY_MS, NOW, after


@pytest.mark.parametrize("module", [decay, entry, text])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    outcome = doctest.testmod(module)  # type: ignore[arg-type]  # doctest's stub wants ModuleType
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_after_one_half_life_the_same_score_weighs_half() -> None:
    key = rank_key(0.8, 0, NOW, DAY_MS)
    assert weight(key, DAY_MS, NOW) == pytest.approx(0.8)
    assert weight(key, DAY_MS, after(DAY_MS)) == pytest.approx(0.4)


def test_one_reinforcement_counts_as_the_module_says() -> None:
    assert weight(rank_key(0.5, 1, NOW, DAY_MS), DAY_MS, NOW) == pytest.approx(0.5 * (1 + 0.5 * math.log(2)))


def test_a_score_of_nothing_weighs_nothing_and_is_below_any_floor() -> None:
    key = rank_key(0.0, 5, NOW, DAY_MS)
    assert weight(key, DAY_MS, NOW) == 0
    assert key < floor_key(DAY_MS, NOW)


def test_the_floor_is_where_the_weight_is_the_floor() -> None:
    assert weight(floor_key(DAY_MS, NOW, 0.02), DAY_MS, NOW) == pytest.approx(0.02)


def test_without_a_floor_nothing_is_below_it() -> None:
    assert floor_key(DAY_MS, NOW, 0) == -math.inf


def test_a_date_far_in_the_future_is_heavy_and_no_overflow() -> None:
    assert weight(rank_key(1.0, 0, after(9 * NOW), DAY_MS), DAY_MS, NOW) < math.inf


def test_tops_of_different_half_lives_are_merged_by_what_they_weigh_now() -> None:
    slow, fast = 10 * DAY_MS, DAY_MS
    tops = {
        slow: [(rank_key(0.5, 0, NOW, slow), EntryId("#slow"))],
        fast: [(rank_key(0.9, 0, NOW, fast), EntryId("#fast"))],
    }
    assert [name for _, name in merge_top(tops, 2, NOW)] == ["#fast", "#slow"]
    assert [name for _, name in merge_top(tops, 2, after(2 * DAY_MS))] == ["#slow", "#fast"]
    assert merge_top(tops, 1, NOW)[0][0] == pytest.approx(0.9)


@pytest.mark.parametrize("half_life_ms", [0, -1])
def test_a_half_life_that_is_not_positive_is_refused(half_life_ms: int) -> None:
    with pytest.raises(InvalidInput, match="half-life"):
        rank_key(0.5, 0, NOW, half_life_ms)


def test_every_source_kind_has_a_half_life() -> None:
    assert set(HALF_LIFE_MS) == set(SourceKind)
    assert len(half_lives()) < len(SourceKind)  # kinds share sets: a read merges fewer


def test_half_lives_can_be_set_for_one_kind_alone() -> None:
    assert decay.half_life_ms(SourceKind.FEED, {SourceKind.FEED: 5}) == 5
    assert decay.half_life_ms(SourceKind.MAIL, {SourceKind.FEED: 5}) == HALF_LIFE_MS[SourceKind.MAIL]
