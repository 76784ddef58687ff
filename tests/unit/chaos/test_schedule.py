"""Which fault strikes when: the same for the same seed, everywhere."""

import subprocess
import sys
from itertools import pairwise

import pytest

from maestro.chaos.catalogue import PROFILES
from maestro.chaos.schedule import Strike, draw
from maestro.errors import InvalidInput


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_seed_draws_the_same_schedule_and_another_draws_another(profile: str) -> None:
    assert draw(profile, 7, 30) == draw(profile, 7, 30)
    assert draw(profile, 7, 30) != draw(profile, 8, 30)


def test_it_is_the_same_in_another_process_whatever_its_hashes_are() -> None:
    told = "from maestro.chaos.schedule import draw; print([(s.at_ms, s.wound.id, s.for_ms, s.victim) for s in {}])"
    program = told.format("draw('everything', 42, 10)")
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    here = [(s.at_ms, s.wound.id, s.for_ms, s.victim) for s in draw("everything", 42, 10)]
    assert runs == [f"{here}\n"] * 2


def test_thirty_minutes_have_a_fault_every_twenty_seconds_each_over_before_the_next() -> None:
    strikes = draw("everything", 1, 30)
    assert len(strikes) == 90
    assert all(later.at_ms - earlier.at_ms == 20_000 for earlier, later in pairwise(strikes))
    assert all(strike.for_ms <= 10_000 for strike in strikes)


def test_each_kind_comes_before_any_comes_again() -> None:
    kinds = {wound for wound in PROFILES["everything"] if "cluster" in wound.grounds}
    assert {strike.wound for strike in draw("everything", 3, 30)[: len(kinds)]} == kinds


def test_plain_processes_meet_only_what_can_meet_them() -> None:
    strikes: list[Strike] = draw("everything", 5, 60, ground="bare")
    assert all("bare" in strike.wound.grounds for strike in strikes)


@pytest.mark.parametrize(("profile", "ground"), [("nothing", "cluster"), ("nodes", "bare")])
def test_what_cannot_be_drawn_is_refused(profile: str, ground: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        draw(profile, 1, 1, ground=ground)
    assert refused.value.field == "profile"
