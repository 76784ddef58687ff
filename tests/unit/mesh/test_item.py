from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from maestro.ids import DEFAULT_TENANT, TimeMs
from maestro.mesh.event import MAX_KEY_CHARS, Event
from maestro.mesh.item import MAX_ABSTRACT_CHARS, Item, fingerprint, item_event, item_key, seen_keys

NOW = TimeMs(1_721_001_600_000)
PAPER = Item(
    title="Learning to grasp wet fruit with a soft gripper",
    link="http://arxiv.org/abs/2407.1v1",
    abstract="Wet fruit turns in a robot hand whether one wants it or not.",
    guid="oai:arXiv.org:2407.1v1",
    authors=("Ann B",),
    announce_type="new",
)


def told(item: Item) -> Event:
    return item_event(item, "arxiv.cs.RO", "source.arxiv", DEFAULT_TENANT, NOW)


def test_an_item_is_known_by_its_guid_else_its_link_else_its_text() -> None:
    assert item_key(PAPER) == PAPER.guid
    assert item_key(replace(PAPER, guid="")) == PAPER.link
    anonymous = replace(PAPER, guid="", link="")
    assert item_key(anonymous) == f"text:{fingerprint(PAPER)}"


def test_a_key_too_long_or_unprintable_for_an_event_is_hashed_and_stays_the_same() -> None:
    for guid in ("g" * (MAX_KEY_CHARS + 1), "g\u2028h"):
        key = item_key(replace(PAPER, guid=guid))
        assert key.startswith("sha256:")
        assert key == item_key(replace(PAPER, guid=guid, title="another"))


def test_spaces_and_case_make_no_other_text() -> None:
    assert fingerprint(replace(PAPER, title=f"  {PAPER.title.upper()} ")) == fingerprint(PAPER)


def test_a_text_too_short_to_tell_items_apart_is_not_remembered() -> None:
    outage = Item(title="Outage", guid="1")
    assert len(seen_keys(outage)) == 1
    assert set(seen_keys(outage)).isdisjoint(seen_keys(replace(outage, guid="2")))
    assert len(seen_keys(PAPER)) == 2


def test_the_event_of_an_item_is_untrusted_and_carries_what_a_reader_needs() -> None:
    event = told(PAPER)
    assert (event.subject, event.type, event.source) == ("arxiv.cs.RO", "feed.item", "source.arxiv")
    assert (event.key, event.taint, event.time_ms) == (PAPER.guid, "untrusted", NOW)
    assert event.payload == {
        "title": PAPER.title,
        "link": PAPER.link,
        "abstract": PAPER.abstract,
        "authors": ["Ann B"],
        "categories": [],
        "published_ms": None,
        "date_clamped": False,
        "announce_type": "new",
    }


def test_an_absurdly_large_item_becomes_an_event_all_the_same() -> None:
    quotes = '"' * 50_000
    event = told(
        Item(title=quotes, abstract=quotes, guid=quotes, authors=(quotes,) * 5_000, categories=(quotes,) * 5_000)
    )
    assert isinstance(event.payload, dict)
    assert event.payload["abstract"] == quotes[:MAX_ABSTRACT_CHARS]


@given(st.builds(Item, title=st.text(), link=st.text(), abstract=st.text(), guid=st.text(), announce_type=st.text()))
def test_any_text_in_an_item_becomes_a_valid_event(item: Item) -> None:
    event = told(item)
    assert Event.model_validate_json(event.model_dump_json()) == event
