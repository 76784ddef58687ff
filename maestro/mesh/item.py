"""Items: one piece of news of a source as the mesh knows it, its identity, and the event it becomes.

Invariants:
- the key is the item's guid, else its link, else the hash of its text: the same for every poll of the same item;
- any item, whatever a feed put into it, becomes a valid event: texts are capped, long keys are hashed;
- an item's event is untrusted, but for that of a schedule, which is our own clock's word.

Source: spec/04 section 4 (identity by guid or link); PROMISES B73-B75.
"""

import hashlib
from dataclasses import dataclass

from pydantic import JsonValue

from maestro.ids import TenantId, TimeMs
from maestro.mesh.event import MAX_KEY_CHARS, Event, Taint, new_event

ITEM_EVENTS = {
    "rss": "feed.item", "files": "file.changed", "mail": "mail.arrived", "schedule": "schedule.due", "mcp": "mcp.told",
}  # fmt: skip
"""Kind of source -> type of the events that its items become."""
MAX_TITLE_CHARS = 500
MAX_ABSTRACT_CHARS = 20_000
MAX_LINK_CHARS = 2_048
MAX_NAMES = 100  # authors, categories: a collaboration of 3,000 is told by its first hundred
MAX_NAME_CHARS = 100

TELLING_CHARS = 64

_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a feed, one file or one mail, cleaned: plain text without control characters."""

    title: str
    link: str = ""
    abstract: str = ""
    guid: str = ""
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    published_ms: TimeMs | None = None
    date_clamped: bool = False
    """True when the feed's date was absurd and `published_ms` is the nearest sensible one."""
    announce_type: str | None = None
    """arXiv's word: new, cross, replace ..."""


def item_key(item: Item) -> str:
    """The name of `item` within its source."""
    key = item.guid or item.link or f"text:{fingerprint(item)}"
    return key if len(key) <= MAX_KEY_CHARS and key.isprintable() else f"sha256:{_digest(key)}"


def fingerprint(item: Item) -> str:
    """The same for the same title and abstract, whatever ids, dates and spaces a feed puts around them."""
    return _digest(_SEPARATOR.join(" ".join(text.split()).casefold() for text in (item.title, item.abstract)))


def seen_keys(item: Item) -> tuple[str, ...]:
    """What a source remembers of `item`: hashes of its key and of its text. Any of them is enough to know it again.

    A text too short to tell items apart ("Outage", "Weekly digest") is not remembered.
    """
    key = _digest("key:" + item_key(item))
    return (key, fingerprint(item)) if len(item.title) + len(item.abstract) >= TELLING_CHARS else (key,)


def item_event(item: Item, subject: str, source: str, tenant: TenantId, now_ms: TimeMs, kind: str = "rss") -> Event:
    """The event that tells subscribers of `item`."""
    payload: dict[str, JsonValue] = {
        "title": item.title[:MAX_TITLE_CHARS],
        "link": item.link if len(item.link) <= MAX_LINK_CHARS else "",
        "abstract": item.abstract[:MAX_ABSTRACT_CHARS],
        "authors": [name[:MAX_NAME_CHARS] for name in item.authors[:MAX_NAMES]],
        "categories": [name[:MAX_NAME_CHARS] for name in item.categories[:MAX_NAMES]],
        "published_ms": item.published_ms,
        "date_clamped": item.date_clamped,
        "announce_type": None if item.announce_type is None else item.announce_type[:MAX_NAME_CHARS],
    }
    taint: Taint = "trusted" if kind == "schedule" else "untrusted"
    return new_event(subject, ITEM_EVENTS[kind], source, item_key(item), payload, now_ms, tenant=tenant, taint=taint)


def _digest(text: str) -> str:
    """80 bits in hex: a window of ten thousand of them meets by chance once in 10^16."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:20]
