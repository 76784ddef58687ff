"""What somebody described is held to, version by version; what nobody described is free."""

from datetime import datetime

import pytest
from pydantic import BaseModel, JsonValue

from maestro.errors import InvalidInput, UnfitEvent
from maestro.ids import TimeMs
from maestro.mesh.event import Event, new_event
from maestro.mesh.schemas import OPEN, EventTypes


class First(BaseModel):
    title: str


class Second(BaseModel):
    title: str
    score: int
    at: datetime


TYPES = EventTypes({("paper", 1): First, ("paper", 2): Second})


def event(payload: JsonValue, version: int = 1, kind: str = "paper") -> Event:
    return new_event("a.b", kind, "me", "k", payload, TimeMs(1)).model_copy(update={"version": version})


def test_every_version_has_its_own_payload() -> None:
    TYPES.check(event({"title": "x"}))
    TYPES.check(event({"title": "x", "score": 3, "at": "2026-01-01T00:00:00Z"}, 2))


@pytest.mark.parametrize(
    ("payload", "version", "field"),
    [
        ({"title": 7}, 1, "payload.title"),
        ({}, 1, "payload.title"),
        ({"title": "x", "more": 1}, 1, "payload.more"),
        ("title", 1, "payload.payload"),
        (None, 1, "payload.payload"),
        ({"title": "x", "score": "3", "at": "2026-01-01T00:00:00Z"}, 2, "payload.score"),
        ({"title": "x", "score": True, "at": "2026-01-01T00:00:00Z"}, 2, "payload.score"),
        ({"title": "x"}, 3, "type"),
    ],
)
def test_what_is_not_as_described_is_refused_by_its_field(payload: JsonValue, version: int, field: str) -> None:
    with pytest.raises(UnfitEvent) as caught:
        TYPES.check(event(payload, version))
    assert caught.value.field == field


def test_what_nobody_described_is_free_unless_the_register_is_closed() -> None:
    OPEN.check(event({"any": "thing"}, 9, "other"))
    TYPES.check(event({"any": "thing"}, 9, "other"))
    with pytest.raises(UnfitEvent):
        EventTypes(TYPES.models, closed=True).check(event(None, 1, "other"))


def test_registers_are_joined_and_do_not_contradict_each_other() -> None:
    both = EventTypes({("paper", 1): First}).and_(EventTypes({("paper", 2): Second, ("paper", 1): First}))
    assert both.models == TYPES.models
    with pytest.raises(InvalidInput) as caught:
        TYPES.and_(EventTypes({("paper", 1): Second}))
    assert caught.value.field == "event_types"


@pytest.mark.parametrize("key", [("", 1), ("a b", 1), ("paper", 0)])
def test_a_wrong_name_or_version_cannot_be_described(key: tuple[str, int]) -> None:
    with pytest.raises(InvalidInput):
        EventTypes({key: First})
