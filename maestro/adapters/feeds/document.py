"""Feed documents: bytes of RSS or Atom become items, or a FeedError that says why not.

Two readings. The first, with expat, decides whether the document may be read at all: no document type, hence no entity
of its own making, is ever expanded; it must be whole, be a feed, and stay within depth and number. The second, with
feedparser, takes out the items. The first judges, so that what the second would forgive (a document cut in half) is a
fault.

Items come out as plain text: markup and control characters are dropped, dates stay within sense, links are http(s).

Source: PROMISES B72, B73; the layout of arXiv's RSS.
"""

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from time import struct_time
from xml.parsers import expat

import feedparser

from maestro.errors import FeedError
from maestro.ids import TimeMs
from maestro.mesh.item import MAX_ABSTRACT_CHARS, MAX_LINK_CHARS, MAX_NAME_CHARS, MAX_NAMES, MAX_TITLE_CHARS, Item

MAX_DEPTH = 64
CHUNK_BYTES = 64 * 1024
MAX_TAG_BYTES = 256 * 1024  # texts come in pieces and may be longer
MAX_ATTRIBUTES = 256  # feedparser takes 5 s for 20,000 of them on one element, and four times that for twice as many
MAX_ELEMENTS_PER_ITEM = 64  # of what the document may hold in all: feedparser takes 16 us for each
ROOTS = frozenset({"rss", "feed", "RDF"})
ITEMS = frozenset({"item", "entry"})
EARLIEST_MS = 631_152_000_000  # 1990-01-01: no feed is older, a date before it is a fault of the feed's clock
LATEST_AHEAD_MS = 24 * 3600 * 1000

_ARXIV_HEAD = re.compile(r"\AarXiv:\S+\s+Announce Type:\s*(\S+)\s+Abstract:\s*", re.IGNORECASE)
_MARKUP = re.compile(r"</[a-z][a-z0-9]*\s*>|<(?:br|p|img|hr)\b[^<>]*>", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # with bidi: it fakes text


def parse(body: bytes, max_items: int, now_ms: TimeMs) -> tuple[Item, ...]:
    """The items of `body`, in its order.

    Raises:
        FeedError: entities_refused, truncated, malformed, not_a_feed, too_complex or too_many_items.
    """
    _judge(body, max_items)
    feed = feedparser.parse(body, sanitize_html=False, resolve_relative_uris=False)
    if not feed.version:
        raise refusal("not_a_feed", "the document is XML, but neither RSS nor Atom")
    return tuple(_item(entry, now_ms) for entry in feed.entries)


def refusal(reason: str, message: str, *, status: int | None = None, retry_after_ms: int | None = None) -> FeedError:
    """The one shape of what can go wrong with a poll."""
    return FeedError(message, reason=reason, status=status, retry_after_ms=retry_after_ms)


class _Judge:
    """Counts depth and items while expat reads; the handlers raise what ends the reading."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._depth = 0
        self._items = 0
        self._elements = 0

    def doctype(self, name: str, *_: object) -> None:
        if name.lower() == "html":
            raise refusal("not_a_feed", "the address answers with an HTML page")
        raise refusal("entities_refused", "the document declares a document type, which could define entities")

    def entity(self, *_: object) -> None:
        raise refusal("entities_refused", "the document defines entities of its own")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if self._depth == 0 and local not in ROOTS:
            raise refusal("not_a_feed", f"the document is <{local[:40]}>, neither RSS nor Atom")
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            raise refusal("too_complex", f"elements are nested deeper than {MAX_DEPTH}")
        if len(attributes) > MAX_ATTRIBUTES:
            raise refusal("too_complex", f"an element has more than {MAX_ATTRIBUTES} attributes")
        if self._elements > MAX_ELEMENTS_PER_ITEM * self._max_items:
            raise refusal("too_complex", f"the document has more than {self._elements - 1} elements")
        self._items += local in ITEMS
        if self._items > self._max_items:
            raise refusal("too_many_items", f"the document has more than {self._max_items} items")

    def end(self, _name: str) -> None:
        self._depth -= 1


def _judge(body: bytes, max_items: int) -> None:
    judge = _Judge(max_items)
    parser = expat.ParserCreate(namespace_separator=" ")
    # An entity of HTML (&nbsp;) that nobody declared is no reason to refuse a feed: with an external subset that is
    # never loaded, expat passes over it, and feedparser knows what it means.
    parser.UseForeignDTD(True)
    parser.ExternalEntityRefHandler = lambda *_: 1
    parser.StartDoctypeDeclHandler = judge.doctype
    parser.EntityDeclHandler = judge.entity
    parser.StartElementHandler = judge.start
    parser.EndElementHandler = judge.end
    try:
        for start in range(0, len(body), CHUNK_BYTES):
            parser.Parse(body[start : start + CHUNK_BYTES], False)
            if start - parser.CurrentByteIndex > MAX_TAG_BYTES:
                raise refusal("too_complex", f"a single tag or comment is longer than {MAX_TAG_BYTES} bytes")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise _malformed(body, error) from None


def _malformed(body: bytes, error: expat.ExpatError) -> FeedError:
    if not body.strip():
        return refusal("empty", "the address answers with nothing")
    if re.match(rb"\s*<(!doctype\s+)?html\b", body[:1024], re.IGNORECASE):
        return refusal("not_a_feed", "the address answers with an HTML page")
    if not body.lstrip(b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n").startswith(b"<"):
        return refusal("not_a_feed", "the address answers with something that is not XML")
    if error.code in _ENDED_EARLY:
        return refusal("truncated", f"the document ends too early: {error}")
    return refusal("malformed", f"the document is not XML: {error}")


_ENDED_EARLY = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)


def _item(entry: feedparser.FeedParserDict, now_ms: TimeMs) -> Item:
    text = str(entry.get("summary") or next((part.get("value", "") for part in entry.get("content", ())), ""))
    arxiv = _ARXIV_HEAD.match(text)
    announce_type = entry.get("arxiv_announce_type") or (arxiv and arxiv[1])
    published_ms, clamped = _published_ms(_date(entry), now_ms)
    return Item(
        title=_line(_plain(str(entry.get("title", ""))[: 4 * MAX_TITLE_CHARS]), MAX_TITLE_CHARS),
        link=_link(str(entry.get("link", ""))),
        # arXiv's abstracts are plain text already, in which `a<b` is mathematics and no markup
        abstract=_line(text[arxiv.end() :] if arxiv else _plain(text[: 4 * MAX_ABSTRACT_CHARS]), MAX_ABSTRACT_CHARS),
        guid=_UNPRINTABLE.sub("", str(entry.get("id", ""))).strip(),
        authors=tuple(_names(_authors(entry, split=announce_type is not None))),
        categories=tuple(_names(str(tag.get("term") or "") for tag in entry.get("tags", ()))),
        published_ms=published_ms,
        date_clamped=clamped,
        announce_type=str(announce_type) if announce_type else None,
    )


def _date(entry: feedparser.FeedParserDict) -> struct_time | None:
    """The date that the entry states itself; feedparser's own look-up would warn where there is none."""
    found: struct_time | None = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    return found


def _authors(entry: feedparser.FeedParserDict, split: bool) -> Iterator[str]:
    """The names of the authors; arXiv writes all of them into one element, between commas."""
    for author in entry.get("authors", ()):
        name = str(author.get("name") or "")
        yield from name.split(", ") if split else (name,)


def _names(names: Iterable[str]) -> Iterator[str]:
    told = 0
    for name in names:
        if (line := _line(name, MAX_NAME_CHARS)) and told < MAX_NAMES:
            told += 1
            yield line


def _published_ms(when: struct_time | None, now_ms: TimeMs) -> tuple[TimeMs | None, bool]:
    if when is None:
        return None, False
    try:
        stated_ms = calendar.timegm(when) * 1000
    except (ValueError, OverflowError):
        return None, True
    sensible_ms = min(max(stated_ms, EARLIEST_MS), now_ms + LATEST_AHEAD_MS)
    return TimeMs(sensible_ms), sensible_ms != stated_ms


def _link(link: str) -> str:
    fit = link.startswith(("http://", "https://")) and len(link) <= MAX_LINK_CHARS and link.isprintable()
    return link if fit else ""


def _line(text: str, max_chars: int) -> str:
    """`text` on one line, cut at `max_chars`."""
    return " ".join(_UNPRINTABLE.sub("", text).split())[:max_chars]


def _plain(text: str) -> str:
    """`text` without its markup; text that has none is left alone, so that `x < y` survives."""
    if not _MARKUP.search(text):
        return text
    words = _Words()
    words.feed(text)
    words.close()
    return "".join(words.parts)


class _Words(HTMLParser):
    """Collects what a reader of the page would read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        self.parts.append(" " if tag in ("br", "p", "div", "li", "tr", "td") else "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
