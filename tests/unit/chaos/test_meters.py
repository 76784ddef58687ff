"""Memory and files that grow, and such that do not."""

from maestro.chaos.meters import MB, Sample, trend


def life(grows_mb_per_h: float, files_per_h: float = 0, spike_at: int = -1) -> list[Sample]:
    """Half an hour, a look every five seconds."""
    return [
        Sample(
            at_s=5.0 * n,
            rss_bytes=int((100 + grows_mb_per_h * 5 * n / 3600 + (80 if n == spike_at else 0)) * MB),
            files=int(30 + files_per_h * 5 * n / 3600),
        )
        for n in range(360)
    ]


def test_what_stays_is_flat_although_it_spiked_once() -> None:
    told = trend(1, "flat", life(0.0, spike_at=200))
    assert told.is_flat
    assert abs(told.slope_mb_per_h) < 0.1


def test_what_grows_is_told_with_its_slope() -> None:
    told = trend(1, "grows", life(200.0))
    assert not told.is_flat
    assert 199 < told.slope_mb_per_h < 201


def test_files_that_are_not_closed_are_told() -> None:
    assert not trend(1, "files", life(0.0, files_per_h=120)).is_flat
