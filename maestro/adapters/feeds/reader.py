"""One conditional GET of a feed, and its items.

Invariants:
- every failure is a FeedError whose facts say `reason` (one word), `status` and `retry_after_ms` where the server told;
- a document is used whole or not at all.

What is not here: how it is fetched, within which bounds (maestro.mesh.web), and retries: they are decided by whoever
polls (mesh/source.py), from the record.
Reasons: http_STATUS, rate_limited, and those of mesh/web.py and document.py.

Source: spec/04 section 4; PROMISES B64, B65, B72, B73, F77.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from maestro.adapters.feeds import document
from maestro.adapters.feeds.document import refusal
from maestro.errors import FeedError, WebError
from maestro.ids import TimeMs
from maestro.mesh.source import Document, Fetched, NotModified
from maestro.mesh.web import DEFAULT_WEB_LIMITS, Answer, Web, WebLimits

ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"
MAX_VALIDATOR_CHARS = 1_024
OK, NOT_MODIFIED, TOO_MANY_REQUESTS = 200, 304, 429


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """What one fetch may cost."""

    web: WebLimits = DEFAULT_WEB_LIMITS
    max_items: int = 5_000


DEFAULT_LIMITS = FeedLimits()


class FeedReader:
    """Fetches feeds over the web; one per process is enough, fetches may run side by side."""

    def __init__(self, web: Web, limits: FeedLimits = DEFAULT_LIMITS) -> None:
        self._web = web
        self._limits = limits

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        """The document at `url`, or word that it is the one whose validators are given.

        The address is its operator's: one that is written as a private address is meant so.

        Raises:
            FeedError: anything else; nothing of what came may be used.
        """
        validators = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        asked = {name: value for name, value in validators.items() if value}
        try:
            answer = await self._web.get(url, {"Accept": ACCEPT, **asked}, self._limits.web, named=True)
        except WebError as error:
            raise _as_fault(error) from error
        return await self._read(answer, bool(asked), now_ms)

    async def _read(self, answer: Answer, conditional: bool, now_ms: TimeMs) -> Fetched:
        status = answer.status
        if status == NOT_MODIFIED and conditional:
            return NotModified()
        if status != OK:
            reason = "rate_limited" if status == TOO_MANY_REQUESTS else f"http_{status}"
            message = f"the server answers {status} {answer.reason_phrase}".rstrip()
            raise refusal(reason, message, status=status, retry_after_ms=_retry_after_ms(answer.headers))
        try:
            items = await asyncio.to_thread(document.parse, answer.body, self._limits.max_items, now_ms)
        except FeedError as error:
            error.facts["status"] = status
            raise
        return Document(items, _validator(answer, "etag"), _validator(answer, "last-modified"), status)


def _as_fault(error: WebError) -> FeedError:
    status = error.facts.get("status")
    return refusal(str(error.facts["reason"]), error.message, status=status if isinstance(status, int) else None)


def _validator(answer: Answer, header: str) -> str | None:
    value = answer.headers.get(header)
    return value if value and len(value) <= MAX_VALIDATOR_CHARS else None


def _retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """What the server asks for; a date counts from the server's own clock."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return int(value[:9]) * 1000
    due_ms, sent_ms = _date_ms(value), _date_ms(headers.get("date", ""))
    return None if due_ms is None or sent_ms is None else max(0, due_ms - sent_ms)


def _date_ms(text: str) -> int | None:
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
