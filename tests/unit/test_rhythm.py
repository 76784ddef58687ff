"""Restarts come with growing pauses, and end where they do not help."""

from actors.rhythm import MAX_RESTARTS, PAUSES_S, WITHIN_S, Rhythm


def after(*moments: float) -> Rhythm:
    rhythm = Rhythm()
    for moment in moments:
        rhythm = rhythm.restarted(moment)
    return rhythm


def test_the_first_restart_is_at_once() -> None:
    assert Rhythm().may_restart(0.0)
    assert not Rhythm().is_over(0.0)


def test_each_further_one_waits_longer_than_the_one_before() -> None:
    for count, pause in enumerate(PAUSES_S, start=1):
        rhythm = after(*[100.0] * count)
        assert not rhythm.may_restart(100.0 + pause - 0.01)
        assert rhythm.may_restart(100.0 + pause)
    assert after(*[100.0] * (len(PAUSES_S) + 3)).may_restart(100.0 + PAUSES_S[-1])


def test_one_more_than_may_be_within_the_period_is_the_end() -> None:
    assert not after(*range(MAX_RESTARTS - 1)).is_over(MAX_RESTARTS)
    assert after(*range(MAX_RESTARTS)).is_over(MAX_RESTARTS)


def test_what_lies_longer_back_than_the_period_is_forgotten() -> None:
    rhythm = after(*[0.0] * MAX_RESTARTS)
    assert not rhythm.is_over(WITHIN_S + 1.0)
    assert rhythm.may_restart(WITHIN_S + 1.0)
    assert len(rhythm.restarted(WITHIN_S + 1.0).restarts) == 1
