"""The graph of a tenant: what is cited, who wrote it and what it is about, as edges with a kind and a date.

    entry --cites--> arxiv:2407.10583 <--cites-- entry        two that meet at a node are neighbours; so are two of
    entry --author--> person:jane doe                         which one rests on the other

Invariants:
- every edge belongs to the entry that tells of it, and is found from both of its ends; an entry that is cut has none,
  and nothing leads to it;
- what nearly everybody leads to says nothing: nobody is a neighbour by a node at which more than `HUB` meet;
- a neighbour is a candidate and no more: how well it serves the goal, the ranker says.

What is not here: the texts and whose they are (`index`), and who follows the log (`runtime.linking`).
Source: spec/03 sections 3 and 5.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pydantic import JsonValue

from maestro.field.entry import ID_CHARS, Entry
from maestro.ids import ALPHABET, EntryId, Partition, TimeMs

KEPT = 100_000
"""Entries with edges in one partition: as many as its log has events."""
FANOUT = 32  # edges of one entry that are kept, and that are followed
HUB = 32  # an author of more papers, a category of all of a feed
MAX_NAME_CHARS = 120

Kind = Literal["cites", "rests_on", "author", "about"]

_ARXIV = re.compile(r"(?:arxiv\.org/(?:abs|pdf|html)/|arxiv:\s?)(\d{4}\.\d{4,5})(?:v\d+)?", re.IGNORECASE)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>\])}]*[^\s\"'<>\])}.,;:]")
_ENTRY = re.compile(rf"#[{ALPHABET}]{{{ID_CHARS}}}")


class Edge(NamedTuple):
    """From the entry that tells of it to another entry, or to what it names."""

    entry: EntryId
    kind: Kind
    node: str
    at_ms: TimeMs


class Bond(NamedTuple):
    """An edge, seen from one of its ends."""

    kind: str
    node: str
    """The other end."""
    at_ms: TimeMs


class Graph(Protocol):
    """Where edges are kept."""

    async def tie(self, partition: Partition, edges: Sequence[Edge], kept: int = KEPT) -> None:
        """These are in it; where more than `kept` entries have some, the oldest have none any more."""
        ...

    async def bonds(self, partition: Partition, nodes: Sequence[str], most: int) -> Sequence[Sequence[Bond]]:
        """Of each of `nodes` its newest edges, newest first."""
        ...

    async def cut(self, partition: Partition, entries: Collection[EntryId]) -> int:
        """None of these has an edge, and none leads to it; returns how many had."""
        ...


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry that is linked with one that matters."""

    id: EntryId
    of: EntryId
    via: str
    """What links them: the node at which they meet, or the kind of the edge between them."""
    share: float
    """The more links there are, and the fewer others share them, the larger."""


def edges_of(entry: Entry, item: Mapping[str, JsonValue]) -> list[Edge]:
    """What `entry` tells of: its links and what its text cites, what it rests on, its authors and its subjects.

    Args:
        item: the payload of the event, or the finding as it is kept.
    """
    named = dict.fromkeys([*_cited(entry), *_rested_on(item), *_named(item)])
    return [Edge(entry.id, kind, node, entry.created_at_ms) for kind, node in list(named)[:FANOUT] if node != entry.id]


def _cited(entry: Entry) -> Iterator[tuple[Kind, str]]:
    text = f"{entry.title} {entry.body}"
    for link in entry.links:
        if not (_ARXIV.search(link) or _DOI.search(link)):
            yield "cites", f"at:{link.partition('#')[0].rstrip('/')[:MAX_NAME_CHARS]}"
    for said in (*entry.links, text):
        for number in _ARXIV.findall(said):
            yield "cites", f"arxiv:{number}"
        for doi in _DOI.findall(said):
            yield "cites", f"doi:{doi.lower()[:MAX_NAME_CHARS]}"


def _rested_on(item: Mapping[str, JsonValue]) -> Iterator[tuple[Kind, str]]:
    for each in _texts(item.get("evidence")):
        yield "rests_on", each if _ENTRY.fullmatch(each) else f"id:{each[:MAX_NAME_CHARS]}"


def _named(item: Mapping[str, JsonValue]) -> Iterator[tuple[Kind, str]]:
    for name in _texts(item.get("authors")):
        yield "author", f"person:{_folded(name)}"
    for name in (*_texts(item.get("categories")), *_texts(item.get("entities"))):
        yield "about", f"subject:{_folded(name)}"


def neighbours(seeds: Mapping[EntryId, Sequence[Bond]], met: Mapping[str, Sequence[Bond]]) -> list[Neighbour]:
    """Who is linked with one of `seeds`, the most closely linked first; no seed is.

    Args:
        seeds: entry that matters -> its edges.
        met: node of these edges that is no entry -> its edges, at least one more of them than `HUB` where it is one.
    """
    paths: defaultdict[EntryId, list[tuple[float, EntryId, str]]] = defaultdict(list)
    for seed, bonds in seeds.items():
        for bond in bonds:
            if is_entry(bond.node):
                paths[EntryId(bond.node)].append((1.0, seed, bond.kind))
                continue
            others = met.get(bond.node, ())
            if len(others) <= HUB:
                for other in others:
                    paths[EntryId(other.node)].append((1.0 / len(others), seed, bond.node))
    found = [_neighbour(name, each) for name, each in paths.items() if name not in seeds]
    return sorted(found, key=lambda each: (-each.share, each.id))


def _neighbour(name: EntryId, paths: Sequence[tuple[float, EntryId, str]]) -> Neighbour:
    _, of, via = max(paths)
    return Neighbour(name, of, via, sum(share for share, _, _ in paths))


def is_entry(node: str) -> bool:
    """Whether a node is an entry, and no name."""
    return node.startswith("#")


def _texts(value: JsonValue) -> list[str]:
    """What of it is text and says something; a text alone is a list of one."""
    given = value if isinstance(value, list) else [value]
    return [each for each in given if isinstance(each, str) and each.strip()]


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()[:MAX_NAME_CHARS]
