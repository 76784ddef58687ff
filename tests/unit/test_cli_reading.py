"""What people type on the command line, read as values."""

import pytest

from actors.fitness import is_loopback
from maestro.budget.vector import Budget
from maestro.cli import reading
from maestro.cli.app import ALIASES, VERBS, verb_in, work_of
from maestro.cli.command import name_as_id
from maestro.cli.errors import wants_json
from maestro.errors import InvalidInput

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("3h", 10_800_000),
        ("21d", 21 * DAY_MS),
        ("2w", 14 * DAY_MS),
        ("250ms", 250),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("0s", 0),
    ],
)
def test_a_duration_is_read(text: str, ms: int):
    assert reading.duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "21", "d", "-3h", "1.5h", "3 weeks", "NaN", "1h30", "٣h"])
def test_what_is_no_duration_is_refused_with_the_fix(text: str):
    with pytest.raises(InvalidInput) as refused:
        reading.duration_ms(text)
    assert str(refused.value) == f"{text!r} is no duration (write 90s, 15m, 3h, 21d or 1h30m)"
    assert refused.value.field == "by"


def test_a_duration_has_an_end():
    with pytest.raises(InvalidInput, match="more than a hundred years"):
        reading.duration_ms("99999w")


def test_a_budget_is_read():
    assert reading.budget("usd=1.50, expensive_model_calls=20") == Budget(usd="1.50", expensive_model_calls=20)


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("", "budget", "'' is not NAME=VALUE"),
        ("usd", "budget", "'usd' is not NAME=VALUE"),
        ("usd=", "budget", "'usd=' is not NAME=VALUE"),
        ("usd=1,usd=2", "budget.usd", "usd is given twice"),
        ("usd=-1", "budget.usd", "-1000000 is no amount of usd"),
        ("usd=NaN", "budget.usd", "'NaN' dollars is not a whole number of micro-dollars"),
        ("usd=1e-9", "budget.usd", "'1e-9' dollars is not a whole number of micro-dollars"),
        ("tokens=1.5", "budget.tokens", "'1.5' is no amount of tokens"),
        ("gold=3", "budget.gold", "unknown resource 'gold'"),
    ],
)
def test_what_is_no_budget_is_refused_by_name(text: str, field: str, said: str):
    with pytest.raises(InvalidInput) as refused:
        reading.budget(text)
    assert refused.value.message == said
    assert refused.value.field == field
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "body", "is_json"),
    [
        ('{"n": 1}', {"n": 1}, True),
        ("[1]", [1], True),
        ("[urgent] call me", "[urgent] call me", False),
        ("hello", "hello", False),
        ("42", "42", False),
        ("", "", False),
    ],
)
def test_a_message_is_json_only_as_an_object_or_a_list(text: str, body: object, is_json: bool):
    assert reading.message(text) == (body, is_json)


def test_what_is_no_json_says_where_it_breaks():
    with pytest.raises(InvalidInput) as refused:
        reading.json_value('{"a": tru}', "input")
    assert refused.value.message.startswith("input is not JSON: ")
    assert refused.value.message.endswith("at character 7")


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (["--name", "scout", "hello"], ["name:scout", "hello"]),
        (["hello", "--name=scout"], ["name:scout", "hello"]),
        (["hello", "--", "--name", "x"], ["hello", "--", "--name", "x"]),
        (["--name"], ["--name"]),
        (["01abc", "-o", "json"], ["01abc", "-o", "json"]),
    ],
)
def test_a_name_stands_for_an_id(arguments: list[str], read: list[str]):
    assert name_as_id(arguments) == read


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        (["list"], "list"),
        (["ps", "-o", "json"], "list"),
        (["--tenant", "show", "list"], "list"),
        (["--home", "/x", "show", "list"], "show"),
        (["--help"], None),
        (["bogus", "list"], None),
        ([], None),
    ],
)
def test_the_verb_of_a_command_line_is_found(arguments: list[str], verb: str | None):
    assert verb_in(arguments) == verb


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["show", "x", "-o", "json"], True),
        (["show", "x", "-ojson"], True),
        (["show", "x", "--output=jsonl"], True),
        (["show", "x", "--output", "jsonl"], True),
        (["show", "json"], False),
        (["show", "x", "-o", "table"], False),
        (["show", "x", "-o"], False),
    ],
)
def test_errors_are_json_for_who_asks_for_json(arguments: list[str], wanted: bool):
    assert wants_json(arguments) is wanted


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_of_the_list_is_there_and_says_what_it_does(verb: str):
    assert (work_of(verb).__doc__ or "").strip()


def test_an_alias_means_a_verb():
    assert set(ALIASES.values()) <= set(VERBS)
    assert not set(ALIASES) & set(VERBS)


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_this_machine_reaches_a_loopback_address(address: str, is_ours: bool):
    assert is_loopback(address) is is_ours
