"""The contract of the store: edges between what was told and what it names."""

from maestro.field.entry import entry_id
from maestro.field.graph import Bond, Edge, Graph, Kind
from maestro.ids import EntryId, TimeMs
from tests.contract.support import World

A, B, C = (entry_id("test", key) for key in "abc")
PAPER, PERSON = "arxiv:2407.10583", "person:Élodie de la Tour"


def edge(entry: EntryId, node: str, at_ms: int = 1_000, kind: Kind = "cites") -> Edge:
    return Edge(entry, kind, node, TimeMs(at_ms))


async def bonds(world: World, *nodes: str, most: int = 10) -> list[list[Bond]]:
    found = await graph(world).bonds(world.partition, nodes, most)
    return [list(each) for each in found]


def graph(world: World) -> Graph:
    return world.backend.gatherings.graph


async def test_an_edge_is_found_from_both_ends_with_its_kind_and_its_date(world: World) -> None:
    await graph(world).tie(
        world.partition, [edge(A, PAPER), edge(A, PERSON, kind="author"), edge(A, B, kind="rests_on")]
    )
    at = TimeMs(1_000)
    assert await bonds(world, A, PAPER, PERSON, B, C) == [
        [Bond("rests_on", B, at), Bond("cites", PAPER, at), Bond("author", PERSON, at)],
        [Bond("cites", A, at)],
        [Bond("author", A, at)],
        [Bond("rests_on", A, at)],
        [],
    ]


async def test_the_newest_come_first_and_no_more_than_were_asked_for(world: World) -> None:
    for at_ms, entry in ((2_000, B), (3_000, C), (1_000, A)):
        await graph(world).tie(world.partition, [edge(entry, PAPER, at_ms)])
    (found,) = await bonds(world, PAPER, most=2)
    assert [bond.node for bond in found] == [C, B]


async def test_the_same_edge_told_again_is_one(world: World) -> None:
    for at_ms in (1_000, 1_000, 2_000):
        await graph(world).tie(world.partition, [edge(A, PAPER, at_ms)])
    assert await bonds(world, PAPER) == [[Bond("cites", A, TimeMs(2_000))]]


async def test_of_an_entry_that_is_cut_nothing_is_left_and_nothing_leads_to_it(world: World) -> None:
    await graph(world).tie(world.partition, [edge(A, PAPER), edge(B, PAPER), edge(B, A, kind="rests_on")])
    assert await graph(world).cut(world.partition, [A, C]) == 1
    assert await bonds(world, A, PAPER, B) == [
        [],
        [Bond("cites", B, TimeMs(1_000))],
        [Bond("cites", PAPER, TimeMs(1_000))],
    ]
    assert await graph(world).cut(world.partition, [A]) == 0
    assert await graph(world).cut(world.partition, []) == 0
    await graph(world).cut(world.partition, [B])
    assert await bonds(world, A, B, PAPER) == [[], [], []]


async def test_where_too_many_have_edges_the_oldest_have_none_any_more(world: World) -> None:
    for at_ms, entry in ((1_000, B), (2_000, A), (3_000, C)):
        await graph(world).tie(world.partition, [edge(entry, PAPER, at_ms)], kept=2)
    assert await bonds(world, B) == [[]]
    assert [bond.node for bond in (await bonds(world, PAPER))[0]] == [C, A]
