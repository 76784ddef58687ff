"""The demo's feed: invented announcement days in arXiv's RSS layout, over HTTP, one day at a time.

    GET  /rss/demo    the current day's feed, with ETag and Last-Modified; answers 304
    GET  /counts      how often what was asked, as JSON
    POST /advance     moves on to the next day; 409 after the last

`python -m maestro.cli.demo.feed --port 0` serves it alone and prints the address. Standard library only.
Not here: faults. The tests have a server for them.
"""

import argparse
import hashlib
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

import orjson
from pydantic import BaseModel, ConfigDict

FEED_PATH = "/rss/demo"
RSS_TYPE = "application/rss+xml"
HEAD = """<?xml version='1.0' encoding='UTF-8'?>
<rss xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/" version="2.0">
<channel>
<title>An archive that does not exist</title>
<link>https://example.org</link>
<description>Invented announcements for the demo of Maestro.</description>
"""
ITEM = """<item>
<title>{title}</title>
<link>{link}</link>
<description>arXiv:{number} Announce Type: new \nAbstract: {abstract}</description>
<guid isPermaLink="false">oai:example.org:{number}</guid>
{categories}
<pubDate>{date}</pubDate>
<arxiv:announce_type>new</arxiv:announce_type>
<dc:creator>{creator}</dc:creator>
</item>
"""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Paper(_Shape):
    """One invented announcement, and the goals that a person would want it for."""

    number: str
    title: str
    abstract: str
    authors: tuple[str, ...]
    categories: tuple[str, ...]
    relevant_to: frozenset[str]

    @property
    def link(self) -> str:
        return f"https://example.org/abs/{self.number}"


class Day(_Shape):
    date: str
    items: tuple[Paper, ...]

    def relevant_to(self, goal: str) -> tuple[Paper, ...]:
        return tuple(paper for paper in self.items if goal in paper.relevant_to)


class Announcements(_Shape):
    """All that the demo's world publishes, and the goals that its continuations follow."""

    goals: Mapping[str, str]
    days: tuple[Day, ...]


def announcements() -> Announcements:
    """The bundled days, the earliest first."""
    text = files("maestro.cli.demo").joinpath("announcements.toml").read_text(encoding="utf-8")
    return Announcements.model_validate(tomllib.loads(text))


def rss(day: Day) -> bytes:
    """The feed as it stands on `day`."""
    date = format_datetime(_midnight(day))
    items = (
        ITEM.format(
            title=escape(paper.title),
            link=escape(paper.link),
            number=paper.number,
            abstract=escape(paper.abstract),
            categories="\n".join(f"<category>{escape(name)}</category>" for name in paper.categories),
            date=date,
            creator=escape(", ".join(paper.authors)),
        )
        for paper in day.items
    )
    return f"{HEAD}<pubDate>{date}</pubDate>\n{''.join(items)}</channel>\n</rss>\n".encode()


class DemoFeed:
    """The feed on a free port of this machine, served by threads of this process until it is closed."""

    def __init__(self, port: int = 0) -> None:
        self.days = announcements().days
        self._position = 0
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), lambda *given: _Asked(self, *given))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-feed", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{FEED_PATH}"

    @property
    def day(self) -> Day:
        return self.days[self._position]

    def advance(self) -> Day | None:
        """The next day, which is now the current one; None after the last."""
        with self._lock:
            if self._position + 1 == len(self.days):
                return None
            self._position += 1
            return self.day

    def count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def counts(self) -> dict[str, int]:
        """Answers so far: `documents`, `not_modified`, `not_found`."""
        with self._lock:
            return dict(self._counts)

    def close(self) -> None:
        """The port is free, and no thread of this feed serves any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Returns when the feed is closed."""
        self._thread.join()


class _Asked(BaseHTTPRequestHandler):
    """One request; the library's names are not ours to choose."""

    def __init__(self, feed: DemoFeed, *given: object) -> None:
        self._feed = feed
        super().__init__(*given)  # type: ignore[arg-type]  # request, address and server, as socketserver hands them over

    def do_GET(self) -> None:
        if self.path == "/counts":
            self._answer(HTTPStatus.OK, orjson.dumps(self._feed.counts()), "application/json")
        elif self.path == FEED_PATH:
            self._answer_feed()
        else:
            self._feed.count("not_found")
            self._answer(HTTPStatus.NOT_FOUND, b'{"error": "not found"}', "application/json")

    def do_POST(self) -> None:
        if self.path != "/advance":
            self._answer(HTTPStatus.NOT_FOUND, b'{"error": "not found"}', "application/json")
        elif (day := self._feed.advance()) is None:
            self._answer(HTTPStatus.CONFLICT, b'{"error": "no day left"}', "application/json")
        else:
            self._answer(HTTPStatus.OK, orjson.dumps({"day": day.date}), "application/json")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the demo tells what matters."""

    def _answer_feed(self) -> None:
        day = self._feed.day
        body = rss(day)
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        validators = {"ETag": tag, "Last-Modified": format_datetime(_midnight(day), usegmt=True)}
        if self.headers.get("If-None-Match") == tag:
            self._feed.count("not_modified")
            self._answer(HTTPStatus.NOT_MODIFIED, b"", RSS_TYPE, validators)
        else:
            self._feed.count("documents")
            self._answer(HTTPStatus.OK, body, RSS_TYPE, validators)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)


def _midnight(day: Day) -> datetime:
    return datetime.fromisoformat(day.date).replace(tzinfo=UTC)


def main() -> None:
    """Serves the feed until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the demo's invented announcements as an RSS feed.")
    parser.add_argument("--port", type=int, default=0)
    with DemoFeed(parser.parse_args().port) as feed:
        print(feed.url, flush=True)
        try:
            feed.wait()
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
