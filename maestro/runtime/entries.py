"""What an event or a finding is as an entry of a field, unscored.

Invariants: the same thing is the same entry, whoever was told of it and however it came into the field.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import JsonValue, ValidationError

from maestro.continuation.finding import Finding
from maestro.field.entry import Entry, Provenance, SourceKind, entry_id
from maestro.field.likeness import sketch
from maestro.ids import EntryId, TimeMs
from maestro.mesh.event import Event
from maestro.runtime.ports import Projection
from maestro.tick.exhibits import ARTIFACT

MAX_BODY = 4_000
FINDING = "finding"
"""The type of the event that tells a finding, and the source of its projection."""


def entry_of(projection: Projection, now_ms: TimeMs) -> Entry:
    """The field entry of an event or a finding, unscored."""
    if projection.source == FINDING:
        told = orjson.loads(projection.payload)
        return entry_of_artifact(told, now_ms) if told.get("kind") == ARTIFACT else entry_of_finding(told, now_ms)
    return entry_of_event(Event.model_validate_json(projection.payload), now_ms)


def entry_of_event(event: Event, at_ms: TimeMs) -> Entry:
    """The entry of something that was published."""
    item = (
        event.payload if isinstance(event.payload, dict) else {"title": event.subject, "abstract": str(event.payload)}
    )
    kind = kind_of(event)
    title, body = str(item.get("title") or event.subject)[:500], _body_of(item)
    return Entry(
        id=id_of_event(event),
        source=event.subject,
        kind=kind,
        title=title if title.strip() else event.subject,
        body=body,
        created_at_ms=at_ms,
        last_reinforced_at_ms=at_ms,
        provenance=Provenance(event=event.id, subject=event.subject),
        links=tuple(str(item[key]) for key in ("link",) if item.get(key)),
        sketch=sketch(title, body),
        taint=event.taint,
    )


def entry_of_finding(finding: Mapping[str, Any], at_ms: TimeMs) -> Entry:
    """The entry of a finding as it is kept."""
    return Entry(
        id=entry_id(FINDING, finding["id"]),
        source=f"finding.{finding['root']}",
        kind=SourceKind.FINDING,
        title=finding["title"],
        body=finding["body"][:MAX_BODY],
        created_at_ms=at_ms,
        last_reinforced_at_ms=at_ms,
        provenance=Provenance(continuation=finding["continuation"]),
        links=tuple(finding["links"]),
        supersedes=entry_id(FINDING, finding["supersedes"]) if finding.get("supersedes") else None,
        sketch=sketch(finding["title"], finding["body"]),
        taint=finding.get("taint", "untrusted"),
    )


def entry_of_artifact(told: Mapping[str, Any], at_ms: TimeMs) -> Entry:
    """The entry of what a tool returned and is too large to be read as a whole: its beginning."""
    title, body = f"{told['tool']}: {told['size_bytes']} bytes of {told['media_type']}", str(told["excerpt"])
    return Entry(
        id=entry_id(ARTIFACT, told["id"]),
        source=f"tool.{told['tool']}",
        kind=SourceKind.TOOL,
        title=title,
        body=body[:MAX_BODY],
        created_at_ms=at_ms,
        last_reinforced_at_ms=at_ms,
        provenance=Provenance(continuation=told["of"]),
        links=(f"{ARTIFACT}:{told['id']}",),
        sketch=sketch(title, body),
        taint=told["taint"],
    )


def entry_told_by(event: Event) -> Entry | None:
    """The entry that somebody who had asked for the event would have; None for what no field ever holds.

    It is as old as the event.
    """
    if event.type == FINDING:
        finding = finding_told_by(event)
        return None if finding is None else entry_of_finding(finding, event.time_ms)
    return entry_of_event(event, event.time_ms) if kind_of(event) is not SourceKind.ROLLING else None


def finding_told_by(event: Event) -> Mapping[str, Any] | None:
    """The finding, as the commit of its finder told it; None for whatever else calls itself one.

    That its finder is of the family that it names, nobody has checked here.
    """
    body = event.payload if event.type == FINDING and isinstance(event.payload, dict) else {}
    if not (body.get("id") == event.key == event.id and body.get("continuation") == event.source):
        return None
    told = {name: body.get(name) for name in Finding.model_fields if name in body}
    try:
        Finding.model_validate(told)
    except ValidationError:
        return None
    taint = "trusted" if body.get("taint") == event.taint == "trusted" else "untrusted"
    return {**body, "root": str(body.get("root", "")), "taint": taint}


def id_of_event(event: Event) -> EntryId:
    key = event.subject if kind_of(event) is SourceKind.ROLLING else event.key
    return entry_id(event.source, key)


def kind_of(event: Event) -> SourceKind:
    """An event of type `rolling` is the newest value of its subject, in place of the one before."""
    if event.type.startswith("feed"):
        return SourceKind.FEED
    return SourceKind.ROLLING if event.type == "rolling" else SourceKind.EVENT


def _body_of(item: Mapping[str, JsonValue]) -> str:
    return str(item.get("abstract") or item.get("summary") or "")[:MAX_BODY]
