"""Three weeks on virtual time, cut at each write: first of all in CI, while it has the machine (`tests.lanes`)."""

import pytest

from maestro.testing.forks import Forks
from maestro.testing.story import cuts, tell, tell_all
from tests.simulation.seismograph import Seismograph


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.shows("3.1")
def test_three_weeks_end_the_same_wherever_a_process_dies() -> None:
    whole = tell()
    assert (whole.wrong, whole.findings) == ((), 9)

    stories = tell_all(cuts(whole))

    assert len(stories) == 2 * len(whole.writes) > 400
    assert [story.cut for story in stories if story.cut is None] == [], "a cut point that was never reached"
    assert [(story.cut, story.wrong) for story in stories if story.state != whole.state or story.wrong] == []


def test_a_story_forked_at_its_cut_is_the_story_cut_there() -> None:
    places = list(cuts(tell()))[7::60]

    assert tell_all(places) == [tell(place) for place in places]


def test_a_fork_that_breaks_off_is_not_taken_for_one_that_ended(capfd: pytest.CaptureFixture[str]) -> None:
    forks = Forks()

    def tell() -> bytes:
        return bytes(1 // (not forks.fork()))

    assert forks.told(tell) == bytes(1)
    with pytest.raises(RuntimeError, match="ended without a value"):
        list(forks.gathered())
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.shows("3.1")
def test_the_cut_points_are_the_calls_that_changed_a_byte_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.testing.story.World", Seismograph)
    whole = tell()

    uncut = {number: name for number, name in Seismograph.shaken.items() if number not in whole.writes}
    assert uncut == {}, "writes that the story is never cut at"
    assert len(whole.writes) == len(Seismograph.shaken) > 200
