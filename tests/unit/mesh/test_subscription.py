import pytest
from pydantic import JsonValue, TypeAdapter, ValidationError

from maestro.continuation.predicate import Predicate, holds
from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.mesh.event import new_event
from maestro.mesh.subscription import Subscription, match

PREDICATE: TypeAdapter[Predicate] = TypeAdapter(Predicate)
PAPER: JsonValue = {
    "title": "Learning to Grasp",
    "score": 7,
    "new": True,
    "note": None,
    "categories": ["cs.RO", "cs.LG"],
    "first": {"category": "cs.RO"},
}


def wish(name: str, pattern: str, **more: object) -> Subscription:
    return Subscription.model_validate({"id": name, "pattern": pattern, "created_ms": 0, **more})


@pytest.mark.parametrize(
    ("predicate", "meets"),
    [
        ({"op": "==", "field": "score", "value": 7}, True),
        ({"op": "==", "field": "score", "value": 7.0}, True),
        ({"op": "==", "field": "score", "value": "7"}, False),
        ({"op": "==", "field": "new", "value": True}, True),
        ({"op": "==", "field": "new", "value": 1}, False),
        ({"op": "==", "field": "note", "value": None}, True),
        ({"op": "==", "field": "absent", "value": None}, False),
        ({"op": "==", "field": "first.category", "value": "cs.RO"}, True),
        ({"op": "==", "field": "title.length", "value": 5}, False),
        ({"op": "in", "field": "first.category", "values": ["cs.AI", "cs.RO"]}, True),
        ({"op": "in", "field": "score", "values": [True, 8]}, False),
        ({"op": "contains", "field": "categories", "value": "cs.LG"}, True),
        ({"op": "contains", "field": "categories", "value": "cs"}, False),
        ({"op": "contains", "field": "title", "value": "GRASP"}, True),
        ({"op": "contains", "field": "score", "value": 7}, False),
        ({"op": "<", "field": "score", "value": 7}, False),
        ({"op": "<=", "field": "score", "value": 7}, True),
        ({"op": ">", "field": "score", "value": 6.5}, True),
        ({"op": ">=", "field": "score", "value": 8}, False),
        ({"op": ">=", "field": "new", "value": 0}, False),
        ({"op": ">", "field": "title", "value": 0}, False),
    ],
)
def test_a_filter_says_of_a_payload_what_it_says(predicate: dict[str, object], meets: bool) -> None:
    assert holds(PREDICATE.validate_python(predicate), PAPER) is meets


@pytest.mark.parametrize("payload", [None, 3, "text", [], {}])
def test_a_filter_on_a_payload_of_another_shape_is_false_and_no_error(payload: JsonValue) -> None:
    assert not holds(PREDICATE.validate_python({"op": "==", "field": "a.b", "value": 1}), payload)


@pytest.mark.parametrize(
    "predicate",
    [
        {"op": "regex", "field": "title", "value": "(a+)+$"},
        {"op": "==", "field": "a..b", "value": 1},
        {"op": "==", "field": "a", "value": [1]},
        {"op": "in", "field": "a", "values": []},
        {"op": "<", "field": "a", "value": "7"},
        {"op": "<", "field": "a", "value": float("nan")},
        {"op": "==", "field": "a", "value": 1, "code": "import os"},
    ],
)
def test_a_filter_that_is_no_typed_predicate_is_refused(predicate: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PREDICATE.validate_python(predicate)


def test_match_gives_those_whose_subject_and_filter_are_met_in_their_order() -> None:
    event = new_event("arxiv.cs.RO", "feed.item", "source.a", "k", PAPER, TimeMs(1))
    wishes = [
        wish("all", ">"),
        wish("other", "arxiv.cs.AI"),
        wish("good", "arxiv.*.RO", filter={"op": ">", "field": "score", "value": 5}),
        wish("better", "arxiv.>", filter={"op": ">", "field": "score", "value": 9}),
        wish("exact", "arxiv.cs.RO", relevance=0.35),
    ]
    assert [found.id for found in match(wishes, event)] == ["all", "good", "exact"]


def test_a_subscription_survives_the_way_through_json() -> None:
    kept = wish("a", "arxiv.>", relevance=0.5, filter={"op": "in", "field": "score", "values": [1, True, None]})
    assert Subscription.model_validate_json(kept.model_dump_json()) == kept


def test_a_subscription_refuses_a_bad_pattern_and_a_relevance_out_of_range() -> None:
    with pytest.raises(InvalidInput) as caught:
        wish("a", "a.>.b")
    assert caught.value.field == "pattern"
    with pytest.raises(ValidationError):
        wish("a", "a", relevance=1.5)
