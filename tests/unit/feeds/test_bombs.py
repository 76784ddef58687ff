"""Ten documents that grow, reach out or never end: each refused within 100 MB and one second."""

import resource
import time
import tracemalloc

import pytest

from maestro.adapters.feeds.document import parse
from maestro.errors import FeedError
from maestro.ids import TimeMs

MB = 1024 * 1024
NOW = TimeMs(1_795_000_000_000)


def laughs(levels: int = 10, width: int = 10) -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * width}">' for n in range(1, levels))
    return f'<!DOCTYPE rss [<!ENTITY l0 "lol">{entities}]><rss><channel>&l{levels - 1};</channel></rss>'.encode()


def rss(inside: str) -> bytes:
    return f"<rss version='2.0'><channel>{inside}</channel></rss>".encode()


BOMBS: dict[str, tuple[bytes, str]] = {
    "billion laughs": (laughs(), "entities_refused"),
    "quadratic": (
        f'<!DOCTYPE rss [<!ENTITY a "{"x" * 100_000}">]><rss>{"&a;" * 10_000}</rss>'.encode(), "entities_refused",
    ),
    "external entity": (b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss>&x;</rss>', "entities_refused"),
    "external document type": (b'<!DOCTYPE rss SYSTEM "http://127.0.0.1:1/x.dtd"><rss/>', "entities_refused"),
    "parameter entity": (
        b'<!DOCTYPE rss [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;]><rss/>', "entities_refused",
    ),
    "laughs in UTF-16": (laughs().decode().encode("utf-16"), "entities_refused"),
    "depth": (rss("<a>" * 1_000_000), "too_complex"),
    "attributes": (rss("<item " + " ".join(f'a{n}="1"' for n in range(20_000)) + "/>"), "too_complex"),
    "one endless tag": (rss("<item a='" + "x" * 5_000_000), "too_complex"),
    "a million elements": (rss("<b/>" * 1_000_000), "too_complex"),
    "a million items": (rss("<item/>" * 1_000_000), "too_many_items"),
    "one endless comment": (rss("<!--" + "x" * 5_000_000), "too_complex"),
}  # fmt: skip


@pytest.mark.shows("5.5")
def test_there_are_ten_bombs() -> None:
    assert len({document for document, _ in BOMBS.values()}) >= 10


@pytest.mark.spec("04.4")
@pytest.mark.shows("5.5")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_costs_little(name: str) -> None:
    document, reason = BOMBS[name]
    before_kib, began_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(FeedError) as caught:
        parse(document, 5_000, NOW)
    assert time.process_time() - began_s < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100 * 1024
    assert caught.value.facts["reason"] == reason
    tracemalloc.start()
    with pytest.raises(FeedError):
        parse(document, 5_000, NOW)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100 * MB
