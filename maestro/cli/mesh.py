"""The mesh: publish, events, dead letters, sources."""

import re
from typing import Annotated

import orjson
import typer
from pydantic import JsonValue, ValidationError
from rich.text import Text

from maestro.bootstrap import event_types
from maestro.cli import reading
from maestro.cli.command import Call
from maestro.cli.inert import inert
from maestro.cli.output import Column, Row
from maestro.cli.words import distance, moment, state
from maestro.errors import Conflict, InvalidInput, NotFound
from maestro.ids import new_token
from maestro.mesh.event import new_event
from maestro.mesh.source import SourceRecord, check_url
from maestro.mesh.subject import check_pattern, check_subject, matches
from maestro.runtime import verbs
from maestro.runtime.audit import note
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.redelivery import redeliver
from maestro.runtime.verbs import PERSON, Installation

EVENT_TYPE = "told"
"""The type of an event that a person publishes."""


async def publish(
    call: Call,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Such as arxiv.cs.AI.")],
    payload: Annotated[str, typer.Argument(metavar="JSON", help="What happened.")],
    key: Annotated[
        str | None, typer.Option(help="The same key again is the same event, told once.", show_default=False)
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="What kind of fact; TYPE@2 for another version.")] = EVENT_TYPE,
) -> None:
    """Publish an event to all who subscribed. Published means durable."""
    value = reading.json_value(payload, "json")
    at = await call.at()
    now_ms = await at.backend.clock.now_ms()
    name, _, version = kind.partition("@")
    event = new_event(
        check_subject(subject), name, PERSON, key or new_token("event"), value, now_ms, at.tenant, taint="trusted"
    ).model_copy(update={"version": int(version) if version.isdecimal() else 1})
    types = event_types(call.settings)
    published = await MeshPublisher(at.backend.router, at.backend.partitions, types).publish(event)
    others = ", and the other partitions follow" if at.backend.partitions > 1 else ""
    words = "was published before; nothing changed" if published.duplicate else f"matched {published.matched}{others}"
    data: dict[str, JsonValue] = {"id": event.id, "duplicate": published.duplicate, "matched": published.matched}
    call.out.record(data, Text(f"{event.id} {words}"))


async def events(
    call: Call,
    subject: Annotated[
        str | None, typer.Argument(metavar="[SUBJECT]", help="Only these; * for a token, > for the rest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to look back.")] = 100,
) -> None:
    """The newest events, newest first."""
    pattern = ">" if subject is None else check_pattern(subject, "subject")
    at = await call.at()
    found: dict[str, dict[str, JsonValue]] = {}
    for partition in verbs.partitions(at):
        for body in await at.backend.records.events(partition, limit):
            event = orjson.loads(body)
            if matches(pattern, event["subject"]):
                found[event["id"]] = event
    newest = sorted(found.values(), key=lambda event: str(event["time_ms"]), reverse=True)
    call.out.rows(newest[:limit], _EVENT_COLUMNS, "No events yet.")


async def dead_letters(
    call: Call,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 100,
    again: Annotated[
        str | None, typer.Option("--redeliver", metavar="ID", help="Deliver this one again.", show_default=False)
    ] = None,
) -> None:
    """What could not be delivered, and why."""
    at = await call.at()
    if again is not None:
        await note(at, "redeliver", again)
        count = await redeliver(at.backend, again)
        call.out.record({"id": again, "redelivered": count}, Text(f"{again} is delivered again."))
        return
    letters = [
        orjson.loads(letter)
        for partition in verbs.partitions(at)
        for letter in await at.backend.records.dead_letters(partition, limit)
    ]
    call.out.rows(letters[:limit], _LETTER_COLUMNS, "No dead letters.")


async def sources(
    call: Call,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="SUBJECT=URL",
            help="A feed, or file:///FOLDER, maildir:///FOLDER, cron:LINE, every:SECONDS, mcp:NAME.",
        ),
    ] = None,
    every_s: Annotated[int, typer.Option(min=1, help="With --add: how often.")] = 900,
    remove: Annotated[str | None, typer.Option(metavar="NAME", help="Poll it no more.")] = None,
) -> None:
    """The sources that are polled, once for all who subscribed: feeds, folders, mail, schedules."""
    at = await call.at()
    if add is not None:
        await note(at, "add source", add, every_s=every_s)
        record = await _add(at, add, every_s)
        call.out.note(f"{record.name} is added; it is polled within a second where Maestro is up.")
    if remove is not None:
        await note(at, "remove source", remove)
        if not await at.backend.sources.remove(remove):
            raise NotFound(f"no source {remove!r}", field="remove", hint="see `maestro sources` for names")
        call.out.note(f"{remove} is removed.")
    now_ms = await at.backend.clock.now_ms()
    rows = [source_row(record) for record in await at.backend.sources.list()]
    empty = "No sources: `maestro sources --add arxiv.cs.AI=https://rss.arxiv.org/rss/cs.AI`"
    call.out.rows(rows, [*_SOURCE_COLUMNS, _next_poll(now_ms)], empty)


def source_row(record: SourceRecord) -> Row:
    """What is shown of a source; not which items it has seen."""
    return record.model_dump(mode="json", exclude={"seen", "schema_version", "tenant"})


async def _add(at: Installation, said: str, every_s: int) -> SourceRecord:
    """The source is known; said again with the same address, only its interval changes."""
    subject, equals, url = said.partition("=")
    if not equals:
        raise InvalidInput(f"{said[:80]!r} is not SUBJECT=URL", field="add", hint="write arxiv.cs.AI=https://HOST/FEED")
    check_subject(subject)
    check_url(url)
    name = re.sub(r"[^A-Za-z0-9_-]", "-", subject)
    known = await at.backend.sources.load(name)
    if known is not None and (known.subject, known.url) != (subject, url):
        hint = f"remove it first: `maestro sources --remove {name}`"
        raise Conflict(f"source {name} polls {known.url} already", field="add", hint=hint)
    try:
        fresh = SourceRecord(name=name, tenant=at.tenant, subject=subject, url=url, every_ms=every_s * 1_000)
    except ValidationError as error:
        said_wrong = error.errors(include_url=False, include_input=False)[0]
        raise InvalidInput(
            f"no source: {said_wrong['msg']}", field=str(said_wrong["loc"][0]), hint="see --help"
        ) from None
    record = fresh if known is None else known.model_copy(update={"every_ms": fresh.every_ms})
    await at.backend.sources.save(record)
    return record


def _what(row: Row) -> str:
    payload = row["payload"]
    title = payload.get("title") if isinstance(payload, dict) else None
    return str(title) if title else orjson.dumps(payload).decode()


def _next_poll(now_ms: int) -> Column:
    def cell(row: Row) -> str:
        due = row["next_poll_ms"]
        return "now" if not isinstance(due, int) or due <= now_ms else distance(due, now_ms)

    return Column("NEXT POLL", cell)


def _name(row: Row) -> str:
    return inert(str(row["name"]))


_EVENT_COLUMNS = [
    Column("AT (UTC)", lambda row: moment(row["time_ms"]), whole=True),
    Column("SUBJECT", lambda row: str(row["subject"]), most=28),
    Column("TYPE", lambda row: str(row["type"]), most=18),
    Column("SOURCE", lambda row: str(row["source"]), most=24),
    Column("ID", lambda row: str(row["id"]), whole=True),
    Column("WHAT", _what, most=80),
]
_LETTER_COLUMNS = [
    Column("CAUSE", lambda row: str(row["cause"])),
    Column("TO", lambda row: str(row["to"]), whole=True),
    Column("KIND", lambda row: str(row["kind"])),
    Column("ID", lambda row: str(row["id"])),
    Column("PAYLOAD", lambda row: str(row["payload"]), most=60),
]
_SOURCE_COLUMNS = [
    Column("NAME", _name, whole=True),
    Column("STATE", lambda row: state(row["state"]), whole=True),
    Column("ITEMS", lambda row: str(row["items_published"]), right=True),
    Column("SUBJECT", lambda row: str(row["subject"]), most=24),
    Column("URL", lambda row: str(row["url"]), most=48),
    Column("LAST ERROR", lambda row: str(row["last_error"] or ""), most=48),
]
