"""The contract of the store: how far a field has come, who wants it looked through, ranks that wait for an engine."""

import asyncio
import random

import pytest

from maestro.field.decay import half_life_ms, weight
from maestro.field.entry import Entry, SourceKind
from maestro.field.shelf import Mark
from maestro.ids import ContinuationId, Rev, TimeMs
from maestro.runtime.ports import GATHER, Asked, Projection, Reranked, Shelve, Waiting
from tests.contract.support import World, finish, happening, money
from tests.contract.test_store_mesh import entry, projections, route, scored
from tests.contract.test_store_moves import left, member

NOTHING = Projection("0-0", ContinuationId("nobody"), "event", None, None, b"")
"""What `scored` is told where nothing waited."""


async def mark(world: World, cid: ContinuationId) -> Mark:
    return await world.backend.shelf.mark(cid)


async def reader(world: World) -> ContinuationId:
    return await world.sleeper(subscriptions=(("news.*", "i", 0.5),))


async def shelved(world: World, cid: ContinuationId, key: str, score: float, degraded: bool) -> Entry:
    """An entry that was told, ranked and put into the field."""
    await route(world, happening("news.today"))
    waiting = (await projections(world))[0]
    item = entry(key, score, await world.now()).model_copy(update={"degraded": degraded})
    assert await world.backend.projections.project(world.partition, [scored(waiting, item)]) == 1
    return item


def shelve(item: Entry) -> Shelve:
    done = scored(NOTHING, item)
    return Shelve(done.half_life_ms, done.rank_key, item.id, item.model_dump_json().encode())


async def test_a_field_is_complete_up_to_the_event_before_the_first_that_waits_for_a_score(world: World) -> None:
    cid = await reader(world)
    assert await mark(world, cid) == Mark()
    await route(world, happening("other.things"))
    assert await mark(world, cid) == Mark(told=1, complete=1)
    await route(world, happening("news.today"))
    await world.advance(250)
    await route(world, happening("news.today"))
    await route(world, happening("other.things"))
    seen = await mark(world, cid)
    assert (seen.told, seen.complete, seen.unscored, seen.stale) == (4, 1, 2, True)
    assert 250 <= seen.waited_ms < 60_000
    first, second = await projections(world)
    item = entry("a", 0.5, await world.now())
    await world.backend.projections.project(world.partition, [scored(first, item)])
    assert (await mark(world, cid)).complete == 2
    await world.backend.projections.project(world.partition, [scored(second, item)])
    assert await mark(world, cid) == Mark(told=4, complete=4)


async def test_a_finding_that_waits_takes_no_event_from_what_is_complete(world: World) -> None:
    cid = await world.sleeper()
    await route(world, happening())
    await world.commit(await world.woken(cid), projections=((cid, b"{}"),))
    seen = await mark(world, cid)
    assert (seen.told, seen.complete, seen.unscored) == (1, 1, 1)


async def test_a_field_is_looked_through_only_where_somebody_looks_and_up_to_when_it_was_asked_for(
    world: World,
) -> None:
    cid, gatherings = await world.sleeper(), world.backend.gatherings
    await route(world, happening())
    assert (await mark(world, cid)).looked is None
    assert await gatherings.told() is None
    await gatherings.open("an embedder")
    assert await gatherings.told() == "an embedder"
    assert await mark(world, cid) == Mark(told=1, complete=1, looked=0)
    assert await gatherings.asked(world.partition) == []
    rouse = asyncio.create_task(world.backend.signals.wait(GATHER, 5_000))
    await world.backend.shelf.ask(cid)
    assert await rouse
    assert await gatherings.asked(world.partition) == [Asked(cid, 1, "")]
    (asked,) = await gatherings.asked(world.partition)
    await route(world, happening())
    await gatherings.gathered(asked, "17 1", ())
    assert (await mark(world, cid)).looked == 1
    assert await gatherings.asked(world.partition) == []
    await world.backend.shelf.ask(cid)
    assert await gatherings.asked(world.partition) == [Asked(cid, 2, "17 1")]
    await gatherings.close()
    assert await gatherings.told() is None
    assert (await mark(world, cid)).looked is None
    assert await gatherings.asked(world.partition) == []


async def test_whoever_asked_again_during_a_look_is_looked_through_again(world: World) -> None:
    cid, gatherings = await world.sleeper(), world.backend.gatherings
    await gatherings.open("an embedder")
    await world.backend.shelf.ask(cid)
    (asked,) = await gatherings.asked(world.partition)
    await route(world, happening())
    await world.backend.shelf.ask(cid)
    await gatherings.gathered(asked, "", ())
    assert [each.cid for each in await gatherings.asked(world.partition)] == [cid]


async def test_what_a_look_finds_is_on_the_shelf_and_changes_nothing_that_was_there(world: World) -> None:
    cid = await reader(world)
    known = await shelved(world, cid, "known", 0.9, degraded=False)
    new = entry("new", 0.5, await world.now())
    assert await world.backend.gatherings.held(cid, [known.id, new.id]) == {known.id}
    worse = known.model_copy(update={"score": 0.1})
    found = [shelve(worse), shelve(new)]
    assert await world.backend.gatherings.gathered(Asked(cid, 1, ""), "5 1", found) == 1
    top = await world.backend.shelf.top(cid, 10, await world.now())
    assert [(it.entry.title, it.entry.score) for it in top] == [("known", 0.9), ("new", 0.5)]
    assert not await world.is_ready(cid)


@pytest.mark.parametrize("n", [0, 1, 20, 200])
async def test_the_top_of_a_field_is_what_a_sort_of_all_that_is_in_it_says(world: World, n: int) -> None:
    cid, now, dice, kinds = await reader(world), await world.now(), random.Random(n), list(SourceKind)
    items = [
        entry(str(number), dice.random(), TimeMs(now - dice.randrange(1, 10**9)), kinds[number % len(kinds)])
        for number in range(100)
    ]
    assert await world.backend.gatherings.gathered(Asked(cid, 1, ""), "1 1", [shelve(item) for item in items]) == 100
    weights = {item.id: weight(shelve(item).rank_key, half_life_ms(item.kind), now) for item in items}
    top = await world.backend.shelf.top(cid, n, now)
    assert [it.entry.id for it in top] == sorted(weights, key=lambda name: -weights[name])[:n]
    assert [it.weight for it in top] == pytest.approx([weights[it.entry.id] for it in top])


async def test_who_has_ended_is_looked_through_no_more(world: World) -> None:
    cid = await world.root()
    await world.backend.shelf.ask(cid)
    await world.backend.store.commit(finish(await world.take()))
    (asked,) = await world.backend.gatherings.asked(world.partition)
    item = entry("late", 0.9, await world.now())
    assert await world.backend.gatherings.gathered(asked, "", [shelve(item)]) == 0
    assert await world.backend.gatherings.asked(world.partition) == []
    assert await world.backend.shelf.top(cid, 10, await world.now()) == []


async def test_the_log_is_read_in_its_order_from_any_place_and_its_texts_again_by_theirs(world: World) -> None:
    told = [happening(key=f"k{number}") for number in range(5)]
    for event in told:
        await route(world, event)
    log = world.backend.gatherings.log
    first = await log(world.partition, "", 2)
    rest = await log(world.partition, first[-1].position, 10)
    assert [fact.body for fact in (*first, *rest)] == [event.model_dump_json().encode() for event in told]
    assert await log(world.partition, rest[-1].position) == []
    texts = await world.backend.gatherings.texts(world.partition, [rest[0].position, "99999999999999-0"])
    assert texts == {rest[0].position: rest[0].body}


async def test_what_was_ranked_while_the_engine_was_away_waits_for_it_and_gets_its_rank(world: World) -> None:
    cid = await reader(world)
    await shelved(world, cid, "good", 0.9, degraded=False)
    item = await shelved(world, cid, "poor", 0.1, degraded=True)
    (waiting,) = await world.backend.projections.degraded(world.partition)
    assert waiting == Waiting(cid, scored(NOTHING, item).half_life_ms, item.model_dump_json().encode())
    better = item.model_copy(update={"score": 0.99, "degraded": False})
    assert await world.backend.projections.rerank(world.partition, [reranked(waiting, better)]) == 1
    assert await world.backend.projections.degraded(world.partition) == []
    top = await world.backend.shelf.top(cid, 10, await world.now())
    assert [(it.entry.title, it.entry.degraded) for it in top] == [("poor", False), ("good", False)]
    assert await world.backend.projections.rerank(world.partition, [reranked(waiting, item)]) == 0


def reranked(waiting: Waiting, item: Entry) -> Reranked:
    done = scored(NOTHING, item)
    return Reranked(waiting, item.id, item.model_dump_json().encode(), done.rank_key)


async def test_one_that_came_again_meanwhile_keeps_the_rank_that_it_came_with(world: World) -> None:
    cid = await reader(world)
    item = await shelved(world, cid, "paper", 0.1, degraded=True)
    (waiting,) = await world.backend.projections.degraded(world.partition)
    await shelved(world, cid, "paper", 0.7, degraded=False)
    assert await world.backend.projections.degraded(world.partition) == []
    late = item.model_copy(update={"score": 0.99, "degraded": False})
    assert await world.backend.projections.rerank(world.partition, [reranked(waiting, late)]) == 0
    (top,) = await world.backend.shelf.top(cid, 10, await world.now())
    assert top.entry.score == 0.7


async def test_no_text_of_an_entry_looks_like_the_mark(world: World) -> None:
    cid = await reader(world)
    await shelved(world, cid, '{"degraded":true}', 0.1, degraded=False)
    assert await world.backend.projections.degraded(world.partition) == []


async def test_what_waits_for_the_engine_waits_in_a_fork_and_in_another_store_too_and_in_no_ended_one(
    world: World,
) -> None:
    cid = await world.sleeper(budget=money(usd=100), subscriptions=(("news.*", "i", 0.5),))
    await shelved(world, cid, "paper", 0.1, degraded=True)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    birth = await world.birth(money(usd=10))
    await world.backend.steering.fork(cid, birth, "", Rev(glance.rev))
    waiting = await world.backend.projections.degraded(world.partition)
    assert {row.cid for row in waiting} == {cid, birth.cid}
    family = await left(world, await member(world, cid, interests=(("news.*", "i"),)))
    assert [row.cid for row in await world.backend.projections.degraded(world.partition)] == [birth.cid]
    assert await world.backend.moves.arrive(family, "export-1")
    assert {row.cid for row in await world.backend.projections.degraded(world.partition)} == {cid, birth.cid}
