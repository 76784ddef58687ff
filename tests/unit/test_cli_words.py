"""How people read times, money, ids; and that nothing they read steers their terminal."""

import orjson
import pytest
from pydantic import JsonValue

from maestro.cli.inert import inert, inert_json, inert_lines
from maestro.cli.words import account, distance, moment, sentence, shortest, span, usd, with_readable

NOW_MS = 1_795_254_167_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünïcode 論文", "plain – ünïcode 論文"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines\r\tand", "two\\nlines\\r\\tand"),
        ("bell\x07 back\x08 nul\x00 del\x7f", "bell\\x07 back\\x08 nul\\x00 del\\x7f"),
        ("eight bits: \x9b31m", "eight bits: \\x9b31m"),
        ("right to left: \u202eevil", "right to left: \\u202eevil"),
        ("line\u2028separator", "line\\u2028separator"),
        ("half a pair: \ud83d", "half a pair: \\ud83d"),
    ],
)
def test_no_character_steers_a_terminal(text: str, shown: str):
    assert inert(text) == shown


def test_lines_stay_lines_where_they_are_wanted():
    assert inert_lines("one\r\ntwo\n\x1bthree") == "one\ntwo\n\\x1bthree"


def test_inert_json_means_the_same():
    value = {"goal": "a\x1b[1m\x9b\u202eb\n", "n": 1}
    text = inert_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    assert orjson.loads(text) == value
    assert not set("\x1b\x9b\u202e") & set(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 ms"), (999, "999 ms"), (90_000, "1 min 30 s"), (12_000_000, "3 h 20 min"), (1_814_400_000, "21 d")],
)
def test_a_span_is_told_in_its_two_largest_units(ms: int, text: str):
    assert span(ms) == text


def test_times_are_told_in_utc():
    assert moment(NOW_MS) == "2026-11-21 09:42:47"
    assert moment(None) == "-"
    assert moment(10**17) == f"{10**17} ms"
    assert distance(NOW_MS + 3_600_000, NOW_MS) == "2026-11-21 10:42:47 UTC, in 1 h"
    assert distance(NOW_MS - 5_000, NOW_MS) == "2026-11-21 09:42:42 UTC, 5 s ago"


def test_a_sentence_of_the_core_has_its_milliseconds_as_times():
    assert sentence(f"asleep until {NOW_MS} ms on the store's clock") == "asleep until 2026-11-21 09:42:47 UTC"
    assert sentence("an effect of 12 ms") == "an effect of 12 ms"


def test_money_is_told_in_dollars_and_kept_in_micro_dollars():
    figures: dict[str, JsonValue] = {
        "granted": 1_500_000,
        "free": 1_399_400,
        "reserved": 100_000,
        "spent": 600,
        "lent": 0,
    }
    assert account("usd", figures) == "$0.0006 of $1.50 spent, $1.3994 free, $0.10 reserved"
    assert with_readable({"usd": figures}) == {"usd": {**figures, "readable": account("usd", figures)}}
    assert account("tokens", {**figures, "granted": None, "free": None}) == "600 spent, unlimited, 100,000 reserved"
    assert usd(None) == "-"


def test_ids_are_told_by_their_shortest_unique_prefix():
    ids = ["0000000000aaaa-0", "0000000000aabb-0", "1111111111cccc-0"]
    assert shortest(ids) == {ids[0]: "0000000000aaa", ids[1]: "0000000000aab", ids[2]: "1111111111"}
    assert shortest([]) == {}
