import pytest

from maestro.adapters.feeds.document import (
    EARLIEST_MS,
    LATEST_AHEAD_MS,
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_TAG_BYTES,
    parse,
)
from maestro.cli.demo.feed import announcements, rss
from maestro.errors import FeedError
from maestro.ids import TimeMs
from maestro.mesh.item import Item

MANY_ATTRIBUTES = " ".join(f"a{n}=''" for n in range(MAX_ATTRIBUTES + 1))
NOW = TimeMs(1_795_000_000_000)


def rss_of(*items: str) -> bytes:
    return f"<rss version='2.0'><channel><title>t</title>{''.join(items)}</channel></rss>".encode()


def item_of(inside: str) -> Item:
    (item,) = parse(rss_of(f"<item>{inside}</item>"), 10, NOW)
    return item


def reason(body: bytes, max_items: int = 10) -> object:
    with pytest.raises(FeedError) as caught:
        parse(body, max_items, NOW)
    return caught.value.facts["reason"]


def test_arxivs_layout_gives_a_clean_abstract_each_author_and_exactly_the_link_of_the_feed() -> None:
    for day in announcements().days:
        items = parse(rss(day), 100, NOW)
        assert [item.title for item in items] == [paper.title for paper in day.items]
        assert [item.abstract for item in items] == [paper.abstract for paper in day.items]
        assert [item.link for item in items] == [paper.link for paper in day.items]
        assert [item.authors for item in items] == [paper.authors for paper in day.items]
        assert [item.categories for item in items] == [paper.categories for paper in day.items]
        assert {item.announce_type for item in items} == {"new"}
        assert not any(item.date_clamped for item in items)


def test_mathematics_in_an_arxiv_abstract_is_no_markup() -> None:
    text = "arXiv:1 Announce Type: cross \nAbstract: if $a&lt;b$ and c&gt;d then R&amp;amp;D &lt;p&gt; x &lt; y"
    item = item_of(f"<title>a &lt; b</title><description>{text}</description>")
    assert item.abstract == "if $a<b$ and c>d then R&amp;D <p> x < y"
    assert item.title == "a < b"
    assert item.announce_type == "cross"


def test_markup_in_other_feeds_becomes_the_text_that_a_reader_sees() -> None:
    html = "<p>One &amp; two</p><script>steal()</script><br/>three <img src='http://x/leak'> &#169;"
    item = item_of(
        f"<description><![CDATA[{html}]]></description><title>&lt;b&gt;Bold&lt;/b&gt; &amp;amp; plain</title>"
    )
    assert item.abstract == "One & two three ©"
    assert item.title == "Bold & plain"


def test_atom_is_read_as_well() -> None:
    atom = b"""<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>urn:1</id><title>One</title>
    <link href="https://example.org/1"/><summary>Text</summary><author><name>Ann, PhD</name></author>
    <category term="news"/><updated>2026-03-02T00:00:00Z</updated></entry></feed>"""
    (item,) = parse(atom, 10, NOW)
    assert (item.guid, item.title, item.link, item.abstract) == ("urn:1", "One", "https://example.org/1", "Text")
    assert (item.authors, item.categories, item.published_ms) == (("Ann, PhD",), ("news",), 1_772_409_600_000)


def test_an_item_with_nothing_in_it_is_an_item() -> None:
    assert item_of("") == Item(title="")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "/relative"])
def test_a_link_that_leads_elsewhere_than_the_web_is_dropped(link: str) -> None:
    assert item_of(f"<link>{link}</link>").link == ""


@pytest.mark.parametrize(
    ("date", "published_ms", "clamped"),
    [
        ("Mon, 02 Mar 2026 00:00:00 +0000", 1_772_409_600_000, False),
        ("Thu, 01 Jan 1970 00:00:00 +0000", EARLIEST_MS, True),
        ("Thu, 01 Jan 2099 00:00:00 +0000", NOW + LATEST_AHEAD_MS, True),
        ("yesterday", None, False),
        ("", None, False),
    ],
)
def test_a_date_beyond_sense_is_clamped_and_says_so(date: str, published_ms: int | None, clamped: bool) -> None:
    item = item_of(f"<pubDate>{date}</pubDate>")
    assert (item.published_ms, item.date_clamped) == (published_ms, clamped)


def test_control_characters_and_text_that_runs_backwards_do_not_get_through() -> None:
    item = item_of("<title>a&#x202e;b&#x7f;c\td</title><guid isPermaLink='false'>g&#x202e;1</guid>")
    assert (item.title, item.guid) == ("abc d", "g1")


def test_an_entity_of_html_that_nobody_declared_is_no_reason_to_refuse_a_feed() -> None:
    assert item_of("<title>a&nbsp;b &eacute;</title>").title == "a b é"


@pytest.mark.parametrize(
    "body",
    [
        b'<?xml version="1.0"?><!DOCTYPE rss SYSTEM "http://h/rss.dtd"><rss version="2.0"><channel/></rss>',
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><rss><channel><title>&x;</title></channel></rss>',
        b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title></channel></rss>',
        '<!DOCTYPE r [<!ENTITY a "ha">]><rss><channel><title>&a;</title></channel></rss>'.encode("utf-16"),
        b"<!DOCTYPE r [<!ENTITY % p SYSTEM 'http://h/p'> %p;]><rss/>",
    ],
)
def test_a_document_type_is_refused_before_anything_of_it_is_read(body: bytes) -> None:
    assert reason(body) == "entities_refused"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html><body>Down for maintenance</body></html>", "not_a_feed"),
        (b"<!DOCTYPE html><html><p>unclosed", "not_a_feed"),
        (b"<!doctype html>\n<html>", "not_a_feed"),
        (b'{"error": "no"}', "not_a_feed"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_feed"),
        (b"\x00\xff\xfe", "not_a_feed"),
        (b"<rss version='2.0'><channel><item></channel></rss>", "malformed"),
        (b"<rss version='2.0'><channel><title>a</title><item><title>b", "truncated"),
        (b"<rss version='2.0'><channel><item><title>b</title></item>", "truncated"),
        (b"<rss version='2.0'><channel><![CDATA[ x", "truncated"),
        (b"<rss version='2.0'><chan", "truncated"),
        (b"<rss version='2.0'>" + b"<a>" * (MAX_DEPTH + 1), "too_complex"),
        (rss_of(f"<item {MANY_ATTRIBUTES}/>"), "too_complex"),
        (rss_of(f"<item a='{'x' * 2 * MAX_TAG_BYTES}'/>"), "too_complex"),
        (rss_of("<item/>" * 11), "too_many_items"),
        (rss_of("<item>" + "<b/>" * 1_000 + "</item>"), "too_complex"),
    ],
)
def test_what_is_no_whole_feed_is_refused_with_its_reason(body: bytes, word: str) -> None:
    assert reason(body) == word


def test_a_document_cut_anywhere_gives_no_item_at_all() -> None:
    whole = rss(announcements().days[0])
    words = {reason(whole[:length], 100) for length in range(60, len(whole.rstrip()), 97)}
    assert words == {"truncated"}


def test_a_document_of_just_so_many_items_is_read() -> None:
    assert len(parse(rss_of("<item/>" * 10), 10, NOW)) == 10
