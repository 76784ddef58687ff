"""Events of the streams: what a fact of the feed tells a client, and the ids under which it resumes.

Pure. Invariants: the events of a fact are a function of the fact alone, so that every process and every try numbers
them alike; an id says how far the feeds were told, and one id never means two events.

    1700000000000-0.1700000000123-4       all up to these facts is told, a position for each partition
    1700000000000-0.1700000000123-4~1:2   ... and of the next fact of partition 1 the first two events

What is not here: reading the feed (`maestro.gateway.tail`), rows beside events, who may see what (the streams).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from maestro.errors import InvalidInput

START = "0-0"
_CURSOR = re.compile(
    r"(?P<places>\d{1,20}-\d{1,20}(\.\d{1,20}-\d{1,20}){0,1023})(~(?P<part>\d{1,4}):(?P<told>\d{1,2}))?"
)
_TOLD = ("reason", "rev", "status", "trigger", "order", "by", "hold", "autonomous_decision")
"""Of a fact, what `continuation.state` tells."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the feeds were told."""

    places: tuple[str, ...]
    part: int = 0
    told: int = 0
    """Events of the next fact of partition `part` that were told."""

    @classmethod
    def parse(cls, text: str, partitions: int) -> "Cursor":
        """The cursor of an event's id.

        Raises:
            InvalidInput: it is none, or of a store with other partitions.
        """
        form = _CURSOR.fullmatch(text)
        if form is None or len(places := form["places"].split(".")) != partitions:
            raise _no_cursor(text)
        cursor = cls(tuple(places), int(form["part"] or 0), int(form["told"] or 0))
        if cursor.part >= partitions:
            raise _no_cursor(text)
        return cursor

    def __str__(self) -> str:
        return ".".join(self.places) + (f"~{self.part}:{self.told}" if self.told else "")

    def skips(self, part: int) -> int:
        """How many events of the next fact of that partition were told."""
        return self.told if part == self.part else 0

    def behind(self, part: int, position: str, number: int, of: int) -> "Cursor":
        """The cursor behind event `number` of the `of` events of the next fact, at `position`."""
        if number + 1 < of:
            return Cursor(self.places, part, number + 1)
        return Cursor((*self.places[:part], position, *self.places[part + 1 :]))

    def at(self, part: int, position: str) -> "Cursor":
        """All facts of that partition up to `position` are told."""
        told = replace(self, told=0) if part == self.part else self
        return replace(told, places=(*self.places[:part], position, *self.places[part + 1 :]))


@dataclass(frozen=True, slots=True)
class Event:
    """What a client is told."""

    name: str
    cid: str | None
    data: Mapping[str, JsonValue]


def _no_cursor(text: str) -> InvalidInput:
    return InvalidInput(f"{text[:60]!r} is no cursor", field="after", hint="give back what an event had as its id")


def order_of(position: str) -> tuple[int, int]:
    """Positions in their order."""
    time, _, number = position.partition("-")
    return int(time), int(number)


def events_of(fact: Mapping[str, Any]) -> tuple[Event, ...]:
    """What is told of a fact, in this order."""
    kind, cid, at_ms = str(fact.get("type")), fact.get("cid"), fact.get("at_ms")
    if not isinstance(cid, str):
        return (Event("system", None, {"fact": kind, **{k: v for k, v in fact.items() if k != "type"}}),)
    told = {name: fact[name] for name in _TOLD if fact.get(name) is not None}
    about: dict[str, JsonValue] = {"cid": cid, "at_ms": at_ms}
    events = [Event("continuation.state", cid, {**about, "fact": kind, **told})]
    if kind == "born" and fact.get("root") == cid:
        events.insert(0, Event("session.created", cid, {**about, "root": cid, "parent": fact.get("parent")}))
    if kind == "committed" and fact.get("root") == cid:
        events.append(Event("session.updated", cid, {**about, "fact": kind, **told}))
    asks = "opened" if kind == "held" else fact.get("asks")
    if asks in ("opened", "closed"):
        events.append(Event(f"wait.{asks}", cid, about))
    findings = sum(directive == "report" for directive in fact.get("directives") or ())
    if findings:
        place = {"root": fact.get("root"), "rev": fact.get("rev")}
        events.append(Event("finding.published", cid, {**about, **place, "count": findings}))
    if kind == "budget_alert":
        rest = {name: value for name, value in fact.items() if name not in ("type", "cid", "at_ms")}
        events.append(Event("budget.alert", cid, {**about, **rest}))
    return tuple(events)
