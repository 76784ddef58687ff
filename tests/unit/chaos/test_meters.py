"""Who grows is found, who is flat is not, and who did not live long enough is not judged."""

from collections.abc import Callable

from maestro.chaos.meters import JUDGED_S, MB, WARM_S, Meters, Sample

EVERY_S = 5.0


def _meters(life_s: float, rss_mb: Callable[[float], float], files: Callable[[float], int]) -> Meters:
    times = [n * EVERY_S for n in range(int(life_s / EVERY_S) + 1)]
    return Meters({(1, "one"): [Sample(at_s, int(rss_mb(at_s) * MB), files(at_s)) for at_s in times]})


def test_a_process_that_grows_is_found_and_its_slope_told() -> None:
    (trend,) = _meters(1_800, lambda at_s: 100 + at_s / 60, lambda _: 10).trends()
    assert not trend.is_flat
    assert 59 < trend.slope_mb_per_h < 61


def test_a_process_that_opens_files_and_never_closes_them_is_found() -> None:
    (trend,) = _meters(1_800, lambda _: 100, lambda at_s: 10 + int(at_s / 60)).trends()
    assert not trend.is_flat
    assert trend.files_grown == 20


def test_what_it_needs_to_get_warm_and_a_single_spike_are_no_growth() -> None:
    (trend,) = _meters(
        600, lambda at_s: 200 if at_s >= WARM_S else 50, lambda at_s: 100 if at_s == 300 else 10
    ).trends()
    assert trend.is_flat
    assert trend.slope_mb_per_h == 0


def test_who_died_young_is_not_judged() -> None:
    assert _meters(JUDGED_S - EVERY_S, lambda at_s: at_s, int).trends() == []
