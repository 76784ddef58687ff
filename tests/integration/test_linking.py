"""What is linked with what matters is in the field, though it is not near the goal and nobody asked for it."""

from pathlib import Path

import pytest
from pydantic import JsonValue

from maestro.cli.index import index_line, index_told
from maestro.field.entry import entry_id
from maestro.field.lexicon import SHIPPED
from maestro.ids import ContinuationId, Partition, partition_of
from maestro.runtime.fieldview import field_rows
from tests.integration.test_gathering import NEAR, Readers

PAPER = "https://arxiv.org/abs/2407.10583v1"
BY_AUTHOR, BY_PAPER, ALONE = (f"A volcanic archive of {where}" for where in ("tree rings", "ice cores", "sea beds"))


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    """They find the nearest one, and look no further."""
    made = Readers(tmp_path / "index")
    made.gatherer.nearest = 1
    return made


async def tell(readers: Readers, title: str, **item: JsonValue) -> None:
    await readers.stage.publish("news.today", title, {"title": title, **item})


async def reasons(readers: Readers, cid: ContinuationId) -> dict[str, str]:
    """Title -> why it stands in the field."""
    now_ms = await readers.stage.backend.clock.now_ms()
    rows = await field_rows(readers.stage.backend.shelf, cid, {}, 50, now_ms)
    return {str(row["title"]): str(row["reason"]).rpartition(", ")[2] for row in rows}


async def archives(readers: Readers) -> ContinuationId:
    """One that has read nothing yet, and what was told."""
    await tell(readers, ALONE, authors=["Somebody Else"])
    await tell(readers, BY_AUTHOR, authors=["Ada  TREMOR"])
    await tell(readers, BY_PAPER, abstract="It goes back to arXiv:2407.10583.")
    await tell(readers, NEAR, authors=["Ada Tremor"], link=PAPER)
    return await readers.start()


async def test_what_shares_an_author_or_a_citation_with_the_best_comes_with_it_and_says_by_what(
    readers: Readers,
) -> None:
    cid = await archives(readers)
    async with readers.looking():
        await readers.say(cid)
    assert await reasons(readers, cid) == {
        NEAR: "near the goal",
        BY_AUTHOR: "linked by person:ada tremor",
        BY_PAPER: "linked by arxiv:2407.10583",
    }


async def test_of_two_that_are_linked_one_is_new_or_neither_is_ranked_again(readers: Readers) -> None:
    cid = await archives(readers)
    await tell(readers, "Sourdough bread", authors=["Ada Tremor"])
    async with readers.looking():
        await readers.say(cid)
        await tell(readers, "Cakes", authors=["Somebody Else"])
        await readers.say(cid)
        assert readers.ranker.scored["Sourdough bread"] == 1
        await tell(readers, "A volcanic archive of lakes", authors=["Ada Tremor"])
        await readers.say(cid)
    assert readers.ranker.scored["Sourdough bread"] == 1
    assert "A volcanic archive of lakes" in await reasons(readers, cid)


async def test_a_finding_is_linked_inside_its_family_only(readers: Readers) -> None:
    root, stranger = await readers.start(), await readers.start()
    await readers.say(root, "find out", "A volcanic archive after arXiv:2407.10583")
    later = await readers.child(root)
    await tell(readers, NEAR, link=PAPER)
    async with readers.looking():
        for cid in (later, stranger):
            await readers.say(cid)
    assert await reasons(readers, stranger) == {NEAR: "near the goal"}
    linked = (await reasons(readers, later))["A volcanic archive after arXiv:2407.10583"]
    assert linked == "linked by arxiv:2407.10583"


async def test_what_is_forgotten_is_linked_with_nothing(readers: Readers) -> None:
    cid = await archives(readers)
    await readers.gatherer.step()
    gone = entry_id("source.test", BY_AUTHOR)
    await readers.gatherer.forget([gone])
    async with readers.looking():
        await readers.say(cid)
    assert BY_AUTHOR not in await reasons(readers, cid)
    graph = readers.stage.backend.gatherings.graph
    here = partition_of(cid)
    assert [list(bonds) for bonds in await graph.bonds(here, [gone], 9)] == [[]]
    (left,) = await graph.bonds(here, ["person:ada tremor"], 9)
    assert [bond.node for bond in left] == [entry_id("source.test", NEAR)]


async def test_people_see_what_the_index_holds_and_how_far_it_has_come(readers: Readers) -> None:
    backend = readers.stage.backend
    assert await index_told(backend) is None
    await archives(readers)
    await readers.gatherer.step()
    told = await index_told(backend)
    assert told is not None
    position = readers.gatherer.index.reached(Partition(0))
    assert index_line(told) == f"4 texts, hashed-1-{SHIPPED.name}-384, 384 dimensions, 0.0 MB, up to event {position}"
    assert told["size_bytes"] == 4 * 384 * 4
    await backend.gatherings.close()
    assert await index_told(backend) is None
