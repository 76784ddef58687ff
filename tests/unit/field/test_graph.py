"""What entries tell of, and who is whose neighbour by it."""

import pytest
from pydantic import JsonValue

from maestro.field.entry import Entry, SourceKind, entry_id
from maestro.field.graph import FANOUT, HUB, Bond, edges_of, neighbours
from maestro.ids import EntryId, TimeMs

A, B, C = (entry_id("test", key) for key in "abc")
AT = TimeMs(1_000)


def told(
    item: dict[str, JsonValue], title: str = "T", body: str = "", links: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """Kind and node of each edge."""
    entry = Entry(
        id=A, source="test", kind=SourceKind.FEED, title=title, body=body, links=links,
        created_at_ms=AT, last_reinforced_at_ms=AT,
    )  # fmt: skip
    return [(edge.kind, edge.node) for edge in edges_of(entry, item)]


def bond(node: str, kind: str = "cites") -> Bond:
    return Bond(kind, node, AT)


@pytest.mark.parametrize(
    "text",
    [
        "http://arxiv.org/abs/2407.10583v2",
        "https://arxiv.org/pdf/2407.10583",
        "see arXiv:2407.10583v1, or ArXiv: 2407.10583",
    ],
)
def test_a_paper_is_one_node_however_it_is_cited(text: str) -> None:
    assert told({}, body=text) == [("cites", "arxiv:2407.10583")]
    assert told({}, links=(text,)) == [("cites", "arxiv:2407.10583")]


def test_what_is_cited_is_known_by_its_doi_or_else_by_its_address() -> None:
    assert told({}, body="as shown (10.1000/XYZ.12).") == [("cites", "doi:10.1000/xyz.12")]
    assert told({}, links=("https://example.org/a/#part", "https://example.org/a")) == [
        ("cites", "at:https://example.org/a")
    ]


def test_authors_subjects_and_evidence_are_nodes_and_their_spelling_does_not_matter() -> None:
    item: dict[str, JsonValue] = {
        "authors": ["Jane  Doe", "JANE DOE", 5, " "],
        "categories": "cs.AI",
        "entities": ["Etna"],
        "evidence": [B, A, "e-1"],
    }
    assert told(item) == [
        ("rests_on", B), ("rests_on", "id:e-1"), ("author", "person:jane doe"),
        ("about", "subject:cs.ai"), ("about", "subject:etna"),
    ]  # fmt: skip


def test_of_a_thousand_authors_so_many_are_kept() -> None:
    assert len(told({"authors": [f"author {number}" for number in range(1_000)]})) == FANOUT


def test_two_that_meet_at_a_node_are_neighbours_and_it_says_where() -> None:
    met = {"arxiv:1": [bond(A), bond(B)], "person:x": [bond(A), bond(B), bond(C)]}
    found = neighbours({A: [bond("arxiv:1"), bond("person:x")]}, met)
    assert [(each.id, each.of, each.via) for each in found] == [(B, A, "arxiv:1"), (C, A, "person:x")]
    assert [each.share for each in found] == pytest.approx([1 / 2 + 1 / 3, 1 / 3])


def test_one_that_rests_on_another_is_closer_than_any_that_only_meets_it() -> None:
    found = neighbours({A: [bond(C, "rests_on"), bond("arxiv:1")]}, {"arxiv:1": [bond(A), bond(B)]})
    assert [(each.id, each.via) for each in found] == [(C, "rests_on"), (B, "arxiv:1")]


def test_at_what_nearly_everybody_leads_to_nobody_meets_and_no_seed_is_its_own_neighbour() -> None:
    crowd = [bond(EntryId(f"#{number:010}")) for number in range(HUB + 1)]
    assert neighbours({A: [bond("subject:cs.ai")]}, {"subject:cs.ai": crowd}) == []
    assert len(neighbours({A: [bond("subject:cs.ai")]}, {"subject:cs.ai": crowd[:HUB]})) == HUB
    assert neighbours({A: [bond("arxiv:1")], B: [bond("arxiv:1")]}, {"arxiv:1": [bond(A), bond(B)]}) == []
