"""Subscriptions: a standing wish for events, and the pure function that says which wishes an event meets.

Invariants: `match` neither waits nor fails; a filter is data, never code (maestro.continuation.predicate).

What is not here: whether an event is relevant to a goal. That is scored elsewhere, when the event arrives.

Source: spec/04 section 3.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from maestro.continuation.predicate import Predicate, holds
from maestro.ids import TimeMs
from maestro.mesh.event import Event
from maestro.mesh.subject import check_pattern, matches


class Subscription(BaseModel):
    """One wish: by subject, perhaps by content, perhaps only above a relevance to the subscriber's goal."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    id: Annotated[str, Field(min_length=1, max_length=128)]
    pattern: str
    relevance: Annotated[float, Field(ge=0, le=1)] | None = None
    filter: Predicate | None = None
    created_ms: TimeMs

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        return check_pattern(pattern)


def match(subscriptions: Iterable[Subscription], event: Event) -> list[Subscription]:
    """Those of `subscriptions` that `event` meets, in their order."""
    return [
        wish
        for wish in subscriptions
        if matches(wish.pattern, event.subject) and (wish.filter is None or holds(wish.filter, event.payload))
    ]
