import math

import pytest

from maestro.errors import InvalidInput
from maestro.ids import TenantId, TimeMs
from maestro.mesh.event import MAX_HOPS, MAX_KEY_CHARS, MAX_PAYLOAD_BYTES, Event, new_event

NOW = TimeMs(1_721_001_600_000)


def event(**changes: object) -> Event:
    facts: dict[str, object] = {
        "subject": "arxiv.cs.AI",
        "event_type": "feed.item",
        "source": "source.arxiv",
        "key": "oai:1",
        "payload": {"title": "A paper"},
        "time_ms": NOW,
    }
    return new_event(**{**facts, **changes})  # type: ignore[arg-type]


def test_the_same_fact_has_the_same_id_whenever_it_is_told() -> None:
    assert event().id == event(time_ms=NOW + 5, payload=None).id


@pytest.mark.parametrize(
    "changes", [{"key": "oai:2"}, {"subject": "arxiv.cs.LG"}, {"source": "source.b"}, {"tenant": "b"}]
)
def test_another_fact_has_another_id(changes: dict[str, object]) -> None:
    assert event(**changes).id != event().id


@pytest.mark.spec("04.14")
def test_an_event_survives_the_way_through_json() -> None:
    told = event()
    assert Event.model_validate_json(told.model_dump_json()) == told


def test_what_says_nothing_of_its_origin_is_untrusted() -> None:
    assert event().taint == "untrusted"
    assert event(taint="trusted").taint == "trusted"


@pytest.mark.spec("04.14")
@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("subject", {"subject": "arxiv.*"}),
        ("subject", {"subject": ""}),
        ("type or source", {"event_type": "no spaces"}),
        ("type or source", {"source": ""}),
        ("key", {"key": ""}),
        ("key", {"key": "k" * (MAX_KEY_CHARS + 1)}),
        ("key", {"key": "line\nbreak"}),
        ("payload", {"payload": "x" * MAX_PAYLOAD_BYTES}),
        ("payload", {"payload": {"n": math.nan}}),
        ("payload", {"payload": ["\ud800"]}),
        ("payload", {"payload": 2**70}),
        ("payload", {"payload": object()}),
        ("taint", {"taint": "clean"}),
        ("tenant", {"tenant": TenantId("../x")}),
    ],
)
def test_a_wrong_field_is_named_with_the_fix(field: str, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        event(**changes)
    assert caught.value.field == field
    assert caught.value.hint


def test_the_largest_payload_fits() -> None:
    assert event(payload="x" * (MAX_PAYLOAD_BYTES - 2)).payload


def test_a_payload_nested_ten_thousand_deep_is_refused_and_nothing_else_happens() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(InvalidInput) as caught:
        event(payload=deep)
    assert caught.value.field == "payload"


@pytest.mark.parametrize("hops", [-1, MAX_HOPS + 1])
def test_a_chain_of_wakes_comes_to_an_end(hops: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        Event(**{**event().model_dump(), "hops": hops})
    assert caught.value.field == "hops"


def test_a_cause_is_an_id_or_nothing() -> None:
    assert Event(**{**event().model_dump(), "causation_id": "tick-7"}).causation_id == "tick-7"
    with pytest.raises(InvalidInput):
        Event(**{**event().model_dump(), "causation_id": ""})
