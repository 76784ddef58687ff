from dataclasses import replace

import pytest

from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.mesh.item import Item
from maestro.mesh.source import (
    FIRST_RETRY_MS,
    LONGEST_RETRY_AFTER_MS,
    LONGEST_RETRY_MS,
    SEEN_WINDOW,
    Document,
    Fault,
    NotModified,
    SourceRecord,
    after_poll,
    new_items,
    state_event,
)

NOW = TimeMs(1_721_001_600_000)
MINUTE = 60_000
FAULT = Fault("http_500", "the server answers 500", status=500)


def record(**changes: object) -> SourceRecord:
    facts = {"name": "arxiv", "subject": "arxiv.cs.AI", "url": "http://127.0.0.1:1/rss", "every_ms": 15 * MINUTE}
    return SourceRecord.model_validate({**facts, **changes})


def paper(n: int, text: int | None = None) -> Item:
    abstract = f"The abstract of paper {n if text is None else text}, long enough to be told apart from all others."
    return Item(title=f"Paper {n if text is None else text}", guid=f"oai:{n}", abstract=abstract)


def papers(*numbers: int) -> tuple[Item, ...]:
    return tuple(paper(n) for n in numbers)


def polled(before: SourceRecord, *items: Item, etag: str | None = None) -> SourceRecord:
    return after_poll(before, Document(items, etag=etag), NOW)


def test_each_item_is_new_once() -> None:
    first = polled(record(), *papers(1, 2))
    assert new_items(first, papers(1, 2, 3)) == papers(3)
    assert new_items(polled(first, *papers(1, 2, 3)), papers(3, 2, 1)) == ()


def test_an_item_twice_in_one_document_is_told_once() -> None:
    assert new_items(record(), papers(1, 1, 2)) == papers(1, 2)


def test_the_same_text_under_a_new_id_is_not_new() -> None:
    first = polled(record(), paper(1))
    assert new_items(first, [paper(9, text=1)]) == ()


def test_a_known_id_with_a_changed_text_is_not_new_and_its_new_text_is_known_from_then_on() -> None:
    first = polled(record(), paper(1))
    assert new_items(first, [paper(1, text=7)]) == ()
    second = polled(first, paper(1, text=7))
    assert new_items(second, [paper(8, text=7)]) == ()


def test_a_feed_that_opens_with_its_archive_floods_nobody() -> None:
    before = record(first_poll_limit=2)
    assert new_items(before, papers(1, 2, 3, 4)) == papers(1, 2)
    after = polled(before, *papers(1, 2, 3, 4))
    assert (after.items_published, after.items_skipped) == (2, 2)
    assert new_items(after, papers(1, 2, 3, 4, 5, 6, 7)) == papers(5, 6, 7)


def test_what_the_document_still_holds_never_leaves_the_window_however_long_it_is() -> None:
    long = tuple(paper(n) for n in range(SEEN_WINDOW))
    after = polled(record(first_poll_limit=10), *long)
    assert new_items(after, long) == ()


def test_the_window_forgets_the_oldest_and_stays_bounded() -> None:
    state = polled(record(), *papers(0))
    for start in range(1, 3 * SEEN_WINDOW, 500):
        state = polled(state, *(paper(n) for n in range(start, start + 500)))
    assert len(state.seen) == SEEN_WINDOW
    assert new_items(state, papers(0)) == papers(0)
    assert new_items(state, [paper(start)]) == ()


def test_a_document_makes_a_source_well_and_says_when_to_come_again() -> None:
    after = polled(record(), paper(1), etag='"x"')
    assert (after.state, after.etag, after.last_ok_ms, after.last_status) == ("ok", '"x"', NOW, 200)
    assert after.next_poll_ms == NOW + 15 * MINUTE
    assert after.items_published == 1


def test_not_modified_changes_neither_validators_nor_what_was_seen() -> None:
    before = polled(record(), paper(1), etag='"x"')
    after = after_poll(before, NotModified(), TimeMs(NOW + 1))
    assert (after.etag, after.seen, after.last_status, after.state) == ('"x"', before.seen, 304, "ok")
    assert after.next_poll_ms == NOW + 1 + 15 * MINUTE


def test_a_fault_changes_state_and_timing_and_nothing_else() -> None:
    before = polled(record(), paper(1), etag='"x"')
    after = after_poll(before, FAULT, NOW)
    assert (after.state, after.failures, after.last_status) == ("degraded", 1, 500)
    assert after.last_error == "http_500: the server answers 500"
    assert (after.etag, after.seen, after.last_ok_ms) == (before.etag, before.seen, before.last_ok_ms)


def test_each_further_failure_doubles_the_pause_up_to_a_limit() -> None:
    state, pauses = record(), []
    for _ in range(40):
        state = after_poll(state, FAULT, NOW)
        pauses.append(state.next_poll_ms - NOW)
    assert pauses[:4] == [FIRST_RETRY_MS, 2 * FIRST_RETRY_MS, 4 * FIRST_RETRY_MS, 8 * FIRST_RETRY_MS]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_RETRY_MS


def test_a_source_that_polls_every_second_tries_again_after_a_second() -> None:
    assert after_poll(record(every_ms=1_000), FAULT, NOW).next_poll_ms == NOW + 1_000


def test_what_the_server_asks_for_is_honoured_within_reason() -> None:
    asked = replace(FAULT, reason="rate_limited", status=429, retry_after_ms=7 * MINUTE)
    assert after_poll(record(), asked, NOW).next_poll_ms == NOW + 7 * MINUTE
    for_ever = replace(asked, retry_after_ms=10**15)
    assert after_poll(record(), for_ever, NOW).next_poll_ms == NOW + LONGEST_RETRY_AFTER_MS
    at_once = replace(asked, retry_after_ms=0)
    assert after_poll(record(), at_once, NOW).next_poll_ms == NOW + FIRST_RETRY_MS


def test_one_good_answer_ends_the_back_off() -> None:
    failed = after_poll(after_poll(record(), FAULT, NOW), FAULT, NOW)
    well = polled(failed, paper(1))
    assert (well.failures, well.last_error, well.state) == (0, None, "ok")
    assert after_poll(well, FAULT, NOW).next_poll_ms == NOW + FIRST_RETRY_MS


def test_a_change_of_state_is_told_once_in_each_direction_and_under_its_own_key() -> None:
    new = record()
    well = polled(new, paper(1))
    down = after_poll(well, FAULT, NOW)
    still_down = after_poll(down, FAULT, NOW)
    up = after_poll(still_down, NotModified(), NOW)
    down_again = after_poll(up, FAULT, NOW)
    steps = [(new, well), (well, down), (down, still_down), (still_down, up), (up, down_again)]
    told = [state_event(before, after, NOW) for before, after in steps]

    assert [event and event.type for event in told] == [
        None,
        "source.degraded",
        None,
        "source.recovered",
        "source.degraded",
    ]
    events = [event for event in told if event]
    assert {event.subject for event in events} == {"source.arxiv"}
    assert {event.source for event in events} == {"source.arxiv:state"} != {well.event_source}
    assert len({event.id for event in events}) == 3
    assert all(event.taint == "trusted" for event in events)
    recovered = events[1].payload
    assert isinstance(recovered, dict)
    assert (recovered["failures"], recovered["error"]) == (2, "http_500: the server answers 500")


def test_the_same_change_repeated_after_a_crash_is_the_same_event() -> None:
    well = polled(record(), paper(1))
    one, two = (state_event(well, after_poll(well, FAULT, when), when) for when in (NOW, TimeMs(NOW + 9)))
    assert one
    assert two
    assert one.id == two.id


def test_a_record_survives_the_way_through_json() -> None:
    kept = after_poll(polled(record(), *papers(1, 2), etag='"x"'), FAULT, NOW)
    assert SourceRecord.model_validate_json(kept.model_dump_json()) == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a.b"),
        ("name", ""),
        ("name", "a" * 65),
        ("subject", "arxiv.>"),
        ("every_ms", 999),
        ("every_ms", 32 * 24 * 3600 * 1000),
        ("tenant", "a/b"),
        ("url", "ftp://example.org/feed"),
        ("url", "file://etc/hostname"),
        ("url", "maildir:relative"),
        ("url", "every:1"),
        ("url", "cron:0 0 30 2 *"),
        ("url", "example.org/feed"),
        ("url", "http://"),
        ("url", "http://[::1"),
        ("url", "http://h:99999/"),
        ("url", "http://example.org/a b"),
        ("url", "http://me:secret@example.org/"),
        ("url", "http://example.org/" + "x" * 2_048),
    ],
)
def test_a_wrong_setting_is_named_with_the_fix(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        record(**{field: value})
    assert caught.value.field == field
    assert caught.value.hint
    assert "secret" not in str(caught.value)
