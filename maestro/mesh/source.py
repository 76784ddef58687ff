"""Sources: what the mesh remembers of a source between two polls, and the pure rules of polling it.

A source is a feed (http, https), a folder of files (file), a mail folder (maildir), a schedule (cron, every), or what
an MCP server tells (mcp): each is read by its kind's reader, and all live by the same rules.

Invariants:
- an item is new once: it is known again by its key and by its text, whichever of the two the feed changes;
- what the current document holds never leaves the window of seen items, however long the document is;
- validators (ETag, Last-Modified) change only with a document that was read whole;
- a fault changes state and timing, nothing else: what was seen stays seen, so that nothing is lost or told twice.

The first document is news too: a day's announcements are what a subscriber came for. A feed that opens with its whole
archive does not flood anybody: at most `first_poll_limit` items of the first document are told, in the order of the
document (newest first, in feeds); the rest is counted in `items_skipped` and never told.

What is not here: reading (adapters/feeds, adapters/files), storage, and the loop (actors/sources).

Source: spec/04 section 4; PROMISES B72-B74, F77.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal, Protocol, assert_never, runtime_checkable
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from maestro.errors import InvalidInput
from maestro.ids import DEFAULT_TENANT, EventId, TenantId, TimeMs, check_label
from maestro.mesh.event import Event, new_event
from maestro.mesh.item import Item, seen_keys
from maestro.mesh.paths import folder_of
from maestro.mesh.schedule import parse_schedule
from maestro.mesh.subject import check_subject

SOURCE_SUBJECT = "source"
DEFAULT_EVERY_MS = 15 * 60 * 1000
MIN_EVERY_MS = 1_000
MAX_EVERY_MS = 31 * 24 * 3600 * 1000
FIRST_POLL_LIMIT = 200
FIRST_RETRY_MS = 30_000  # doubles with each failure; a source that polls more often starts lower
LONGEST_RETRY_MS = 3600 * 1000  # or the source's own interval where that is longer
LONGEST_RETRY_AFTER_MS = 24 * 3600 * 1000  # a server that says "in a year" does not switch a source off
SEEN_WINDOW = 4_096  # at most two per item: a month of an arXiv category; about 100 KB of the record
MAX_URL_CHARS = 2_048

Kind = Literal["rss", "files", "mail", "schedule", "mcp"]
_KINDS: dict[str, Kind] = {
    "file": "files", "maildir": "mail", "cron": "schedule", "every": "schedule", "mcp": "mcp",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class SourceRecord(BaseModel):
    """One source: what was asked for, and where its polling stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    tenant: TenantId = DEFAULT_TENANT
    kind: Kind = "rss"
    """By the scheme of its address. RSS and Atom are one: the document says which."""
    subject: str
    url: str
    every_ms: int = DEFAULT_EVERY_MS
    first_poll_limit: Annotated[int, Field(ge=0, le=10_000)] = FIRST_POLL_LIMIT

    etag: str | None = None
    last_modified: str | None = None
    seen: tuple[str, ...] = ()
    """Hashes of keys and texts, the oldest first."""
    next_poll_ms: TimeMs = TimeMs(0)
    state: Literal["new", "ok", "degraded"] = "new"
    changes: Annotated[int, Field(ge=0)] = 0
    """How often it went from well to degraded or back."""
    failures: Annotated[int, Field(ge=0)] = 0
    """In a row."""
    last_error: str | None = None
    last_status: int | None = None
    last_ok_ms: TimeMs | None = None
    items_published: Annotated[int, Field(ge=0)] = 0
    items_skipped: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _derive_kind(cls, given: object) -> object:
        """The kind, and how much of a first poll is told, follow from the address."""
        if not isinstance(given, dict) or not isinstance(given.get("url"), str):
            return given
        kind = kind_of(given["url"])
        first = (
            {"first_poll_limit": 0} if kind == "schedule" else {}
        )  # what was due before it was asked for is nobody's
        return {"kind": kind, **first, **given}

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name[:40]!r} is no name of a source",
                field="name",
                hint="use 1 to 64 of letters, digits, '_' and '-', beginning with a letter or digit",
            )
        return name

    @field_validator("tenant")
    @classmethod
    def _check_tenant(cls, tenant: TenantId) -> TenantId:
        return TenantId(check_label(tenant, "tenant"))

    @field_validator("subject")
    @classmethod
    def _check_subject(cls, subject: str) -> str:
        return check_subject(subject)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_url(url)

    @field_validator("every_ms")
    @classmethod
    def _check_every(cls, every_ms: int) -> int:
        if not MIN_EVERY_MS <= every_ms <= MAX_EVERY_MS:
            raise InvalidInput(
                f"a poll every {every_ms} ms", field="every_ms", hint="poll at least monthly and at most once a second"
            )
        return every_ms

    @property
    def is_first_poll(self) -> bool:
        return self.last_ok_ms is None

    @property
    def event_source(self) -> str:
        """How its events name it; also the subject of what it tells about itself."""
        return f"{SOURCE_SUBJECT}.{self.name}"


@dataclass(frozen=True, slots=True)
class Document:
    """The source answered with all that it has now, whole and well-formed."""

    items: tuple[Item, ...]
    etag: str | None = None
    last_modified: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class NotModified:
    """The feed answered that nothing changed since the validators that were sent."""

    status: int = 304


@dataclass(frozen=True, slots=True)
class Fault:
    """The poll failed; nothing of what came was used."""

    reason: str
    """One word: http_500, rate_limited, timeout, truncated ..."""
    message: str
    status: int | None = None
    retry_after_ms: int | None = None


Fetched = Document | NotModified
Outcome = Fetched | Fault


@dataclass(frozen=True, slots=True)
class Published:
    """The event is durable, or was before."""

    event_id: EventId
    duplicate: bool
    matched: int


class Reader(Protocol):
    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        """What the source at `url` has now, or word that it is what these validators stand for.

        Raises:
            FeedError: anything else; nothing of what came may be used.
        """
        ...


@runtime_checkable
class Pushing(Protocol):
    """A reader that may hear of news before it is time to look."""

    async def news(self, url: str) -> None:
        """Returns when a look at `url` is worth while; never, where nobody tells."""
        ...


class Publisher(Protocol):
    async def publish(self, event: Event) -> Published:
        """The event is durable and with all who match; the same (source, key) again changes nothing.

        Raises:
            StoreError: it may or may not be durable; publish it again.
        """
        ...


class SourceRecords(Protocol):
    async def load(self, name: str) -> SourceRecord | None:
        """The record as it was last saved, or None."""
        ...

    async def save(self, record: SourceRecord) -> None:
        """The record is durable under its name; the last one counts."""
        ...

    async def list(self) -> Sequence[SourceRecord]:
        """All records, by name."""
        ...

    async def remove(self, name: str) -> bool:
        """The record is gone; False when there was none."""
        ...


def kind_of(url: str) -> Kind:
    """What kind of source an address names, by its scheme; a feed where nothing else is said."""
    return _KINDS.get(url.partition(":")[0], "rss")


def check_url(url: str) -> str:
    """`url` as an address that a source may have.

    Raises:
        InvalidInput: none of the kinds, without host or absolute path, with a password in it, never due, or too long.
    """
    match kind_of(url):
        case "schedule":
            parse_schedule(url)
        case "files" | "mail":
            folder_of(url)
        case "mcp":
            mcp_server_of(url)
        case "rss":
            _check_feed(url)
    return url


def mcp_server_of(url: str) -> str:
    """The name of the server in `mcp:NAME`.

    Raises:
        InvalidInput: there is none.
    """
    name = url.removeprefix("mcp:")
    if not _NAME.fullmatch(name):
        hint = "write mcp:NAME, of a server in MAESTRO_MCP_FILE"
        raise InvalidInput(f"{url[:80]!r} names no MCP server", field="url", hint=hint)
    return name


def _check_feed(url: str) -> None:
    hint = "give an address such as https://example.org/feed.xml, or file:, maildir:, cron:, every:, mcp:"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
    except ValueError:
        known, parts = False, urlsplit("")
    if not known or len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url:
        raise InvalidInput(f"{url[:80]!r} is no address of a feed", field="url", hint=hint)
    if parts.password is not None:
        raise InvalidInput("the address has a password in it", field="url", hint="leave it out: records are shown")


def new_items(record: SourceRecord, items: Iterable[Item]) -> tuple[Item, ...]:
    """Those of `items` that were never told, each once, in their order; no more than the limit on a first poll."""
    return tuple(islice(_unseen(record, items), record.first_poll_limit if record.is_first_poll else None))


def after_poll(record: SourceRecord, outcome: Outcome, now_ms: TimeMs) -> SourceRecord:
    """`record` as it stands after a poll that ended in `outcome`; of a document, all new items are told by then."""
    match outcome:
        case Document():
            told = len(new_items(record, outcome.items))
            skipped = sum(1 for _ in _unseen(record, outcome.items)) - told
            return _well(record, now_ms, outcome.status).model_copy(
                update={
                    "etag": outcome.etag,
                    "last_modified": outcome.last_modified,
                    "seen": _remember(record.seen, outcome.items),
                    "items_published": record.items_published + told,
                    "items_skipped": record.items_skipped + skipped,
                }
            )
        case NotModified():
            return _well(record, now_ms, outcome.status)
        case Fault():
            return record.model_copy(
                update={
                    "state": "degraded",
                    "changes": record.changes + (record.state != "degraded"),
                    "failures": record.failures + 1,
                    "last_error": f"{outcome.reason}: {outcome.message}",
                    "last_status": outcome.status,
                    "next_poll_ms": now_ms + retry_delay_ms(record, outcome.retry_after_ms),
                }
            )
        case _:
            assert_never(outcome)


def retry_delay_ms(record: SourceRecord, retry_after_ms: int | None) -> int:
    """How long a source waits after a failure that follows `record`: doubled each time, never less than asked."""
    first = min(record.every_ms, FIRST_RETRY_MS)
    longest = max(record.every_ms, LONGEST_RETRY_MS)
    backed_off = min(first << min(record.failures, 32), longest)
    return max(backed_off, min(retry_after_ms or 0, LONGEST_RETRY_AFTER_MS))


def state_event(before: SourceRecord, after: SourceRecord, now_ms: TimeMs) -> Event | None:
    """The event that tells of a change between well and degraded; None when there was none.

    Its key counts the changes, so that a poll which is repeated after a crash tells the same event again.
    """
    if after.changes == before.changes:
        return None
    degraded = after.state == "degraded"
    return new_event(
        after.event_source,
        "source.degraded" if degraded else "source.recovered",
        f"{after.event_source}:state",  # not the items' source: no guid of a feed may take this key
        f"change:{after.changes}",
        {
            "name": after.name,
            "url": after.url,
            "state": after.state,
            "error": after.last_error if degraded else before.last_error,
            "status": after.last_status,
            "failures": after.failures if degraded else before.failures,
            "next_poll_ms": after.next_poll_ms,
        },
        now_ms,
        tenant=after.tenant,
        taint="trusted",
    )


def _well(record: SourceRecord, now_ms: TimeMs, status: int) -> SourceRecord:
    return record.model_copy(
        update={
            "state": "ok",
            "changes": record.changes + (record.state == "degraded"),
            "failures": 0,
            "last_error": None,
            "last_status": status,
            "last_ok_ms": now_ms,
            "next_poll_ms": _next_poll_ms(record, now_ms),
        }
    )


def _next_poll_ms(record: SourceRecord, now_ms: TimeMs) -> TimeMs:
    if record.kind == "schedule":
        return parse_schedule(record.url).following(now_ms)
    return TimeMs(now_ms + record.every_ms)


def _unseen(record: SourceRecord, items: Iterable[Item]) -> Iterator[Item]:
    seen = set(record.seen)
    for item in items:
        keys = seen_keys(item)
        if seen.isdisjoint(keys):
            yield item
        seen.update(keys)


def _remember(seen: tuple[str, ...], items: Iterable[Item]) -> tuple[str, ...]:
    """The window after `items`: all that are in the document, and before them the youngest of the others."""
    current = dict.fromkeys(key for item in items for key in seen_keys(item))
    older = [key for key in seen if key not in current]
    room = max(0, SEEN_WINDOW - len(current))
    return (*older[len(older) - min(room, len(older)) :], *current)
