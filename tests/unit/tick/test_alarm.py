"""Recurring timers: what is seen of missed moments, and the next beat."""

import pytest
from pydantic import JsonValue

from maestro.continuation.directive import CatchUp, Recurring
from maestro.continuation.mail import Kind, Mail
from maestro.ids import MailId, TimeMs
from maestro.tick.alarm import CATCH_UP_AT_MOST, caught_up, due_of, timers_after

DUE = TimeMs(1_000)


def rang(due_ms: int = DUE, timer: str = "beat") -> Mail:
    name = MailId(f"timer:{timer}:{due_ms}")
    body: JsonValue = {"due_ms": due_ms}
    return Mail(id=name, kind=Kind.TIMER, sender="timer", correlation=timer, body=body, sent_ms=TimeMs(due_ms))


def seen(catch_up: CatchUp, now_ms: int) -> list[tuple[object, object]]:
    rules = {"beat": Recurring(every_ms=100, catch_up=catch_up)}
    mails = caught_up(rang(), rules, TimeMs(now_ms))
    return [(mail.body["due_ms"], mail.body["missed"]) for mail in mails if isinstance(mail.body, dict)]


@pytest.mark.parametrize("catch_up", ["one", "all", "skip"])
def test_on_time_each_rule_shows_the_one_moment(catch_up: CatchUp) -> None:
    assert seen(catch_up, DUE) == seen(catch_up, DUE + 99) == [(DUE, 0)]


def test_missed_moments_are_counted_listed_or_skipped() -> None:
    assert seen("one", DUE + 250) == [(DUE, 2)]
    assert seen("all", DUE + 250) == [(DUE, 0), (DUE + 100, 0), (DUE + 200, 0)]
    assert seen("skip", DUE + 250) == []


def test_all_has_an_end_and_the_first_says_how_many_are_left_out() -> None:
    late = seen("all", DUE + 100 * 1_000)
    assert len(late) == CATCH_UP_AT_MOST
    assert late[0] == (DUE + 100 * (1_001 - CATCH_UP_AT_MOST), 1_001 - CATCH_UP_AT_MOST)
    assert late[-1] == (DUE + 100 * 1_000, 0)


def test_a_timer_that_rings_once_is_shown_as_it_came() -> None:
    assert caught_up(rang(timer="alarm"), {}, TimeMs(9_999)) == (rang(timer="alarm"),)


def test_the_next_moment_keeps_the_beat_and_is_ahead() -> None:
    rules = {"beat": Recurring(every_ms=100)}
    kept, again = timers_after({"beat": DUE, "other": TimeMs(5)}, rules, [rang()], TimeMs(DUE + 250))
    assert again == {"beat": DUE + 300}
    assert kept == {"beat": DUE + 300, "other": 5}
    assert timers_after({"beat": DUE}, rules, [rang()], DUE)[1] == {"beat": DUE + 100}


def test_mail_of_a_timer_that_was_set_anew_since_ends_nothing() -> None:
    assert timers_after({"alarm": TimeMs(7_000)}, {}, [rang(timer="alarm")], TimeMs(DUE)) == ({"alarm": 7_000}, {})
    assert timers_after({"alarm": DUE}, {}, [rang(timer="alarm")], TimeMs(DUE)) == ({}, {})


def test_only_timers_have_a_moment() -> None:
    assert due_of(rang()) == DUE
    assert due_of(rang().model_copy(update={"kind": Kind.MESSAGE})) is None
    assert due_of(rang().model_copy(update={"body": "no object"})) is None
