"""Which tools a model is shown: few, the right ones, and the same ones from turn to turn."""

import json

import pytest

from maestro.tools.attention import NEED_TOOL, NOTHING, ToolAttention, needed, promoted, schemas
from maestro.tools.spec import Spec

NOUNS = ("invoice", "calendar", "weather", "contract", "photo", "ticket", "recipe", "translation", "route", "stock")
VERBS = ("create", "delete", "search", "update", "share")
FIFTY = [
    Spec(f"{verb}_{noun}", f"{verb.capitalize()}s one {noun}, by its number.", {"type": "object", "properties": {}})
    for noun in NOUNS
    for verb in VERBS
]


@pytest.mark.spec("04.6")
def test_of_fifty_tools_the_needed_one_is_among_three_or_is_reached_by_asking() -> None:
    for spec in FIFTY:
        verb, noun = spec.name.split("_")
        first = promoted(FIFTY, f"Please {verb} the {noun} of yesterday")
        assert len(first.names) == 3
        assert spec.name in first.names, (spec.name, first.names)

    unlike = promoted(FIFTY, "Wie wird morgen das Wetter?")
    assert "search_weather" not in unlike.names
    wider = promoted(FIFTY, "the weather", before=needed(unlike))
    assert len(wider.names) == 6
    assert len(promoted(FIFTY, "the weather", before=needed(wider)).names) == 50


@pytest.mark.spec("04.6")
def test_the_set_stays_over_ten_turns_of_one_task_and_follows_the_goal() -> None:
    turn = promoted(FIFTY, "search the invoice of May", goal="settle the invoices")
    for month in ("June", "July", "August", "March", "April", "May", "January", "October", "November", "December"):
        after = promoted(FIFTY, f"and now search that of {month}", goal="settle the invoices", before=turn)
        assert after.names == turn.names
        turn = after
    assert promoted(FIFTY, "plan", goal="find a route", before=turn).names != turn.names


def test_a_tool_that_fits_far_better_takes_the_place_of_the_weakest() -> None:
    turn = promoted(FIFTY, "search the invoice")
    after = promoted(FIFTY, "delete the photo, share the photo", before=turn)
    assert {"delete_photo", "share_photo"} <= set(after.names)
    assert len(after.names) == 3


def test_few_tools_are_all_shown_without_a_way_to_ask_for_more() -> None:
    shown = promoted(FIFTY[:4], "anything")
    assert len(shown.names) == 4
    assert NEED_TOOL not in [schema["name"] for schema in schemas(FIFTY[:4], shown)]
    assert len(promoted(FIFTY, "x", attention=ToolAttention(enabled=False)).names) == 50


def test_what_the_open_exchange_has_used_is_kept() -> None:
    shown = promoted(FIFTY, "search the invoice", kept=["share_recipe", "no such tool"])
    assert "share_recipe" in shown.names
    assert len(shown.names) == 4


def test_three_schemas_and_the_way_to_ask_are_a_tenth_of_fifty() -> None:
    shown = schemas(FIFTY, promoted(FIFTY, "search the invoice"))
    assert [schema["name"] for schema in shown][-1] == NEED_TOOL
    everything = schemas(FIFTY, promoted(FIFTY, "", attention=ToolAttention(enabled=False)))
    assert len(json.dumps(shown)) * 8 < len(json.dumps(everything))


def test_the_same_question_gives_the_same_set_whatever_the_order_of_the_tools() -> None:
    question = "update a contract"
    assert promoted(FIFTY, question) == promoted(FIFTY[::-1], question)
    assert NOTHING.names == ()
