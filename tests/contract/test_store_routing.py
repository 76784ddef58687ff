"""The contract of the store: what an interest asks beside its subject, how often it wakes, and the mesh's account."""

from typing import Any

import orjson
from pydantic import JsonValue, TypeAdapter

from maestro.continuation.mail import Kind
from maestro.continuation.predicate import Predicate, holds
from maestro.ids import ContinuationId, MailId, TimeMs
from maestro.mesh.account import account_of
from maestro.mesh.event import Event
from maestro.runtime.ports import Projected
from maestro.tick.store import Terms
from tests.contract.support import World, finish, happening, letter

PREDICATES: TypeAdapter[Predicate] = TypeAdapter(Predicate)
DAY_MS = 86_400_000
PAPER: JsonValue = {
    "title": "Learning to GRASP, für Elise", "score": 7, "half": 0.5, "new": True, "old": False, "note": None,
    "categories": ["cs.RO", "cs.LG", 3, None], "empty": [], "nothing": {}, "first": {"category": "cs.RO", "1": "x"},
    "huge": 2**60, "id": "7", "neg": -3,
}  # fmt: skip
ASKED: tuple[dict[str, JsonValue], ...] = (
    {"op": "==", "field": "score", "value": 7}, {"op": "==", "field": "score", "value": 7.0},
    {"op": "==", "field": "score", "value": "7"}, {"op": "==", "field": "id", "value": 7},
    {"op": "==", "field": "new", "value": True}, {"op": "==", "field": "new", "value": 1},
    {"op": "==", "field": "old", "value": False}, {"op": "==", "field": "old", "value": None},
    {"op": "==", "field": "note", "value": None}, {"op": "==", "field": "absent", "value": None},
    {"op": "==", "field": "absent", "value": False}, {"op": "==", "field": "title.length", "value": False},
    {"op": "==", "field": "first.category", "value": "cs.RO"}, {"op": "==", "field": "first.1", "value": "x"},
    {"op": "==", "field": "categories.1", "value": "cs.RO"}, {"op": "==", "field": "empty", "value": None},
    {"op": "==", "field": "title", "value": "learning to grasp, für elise"},
    {"op": "in", "field": "score", "values": [True, 8]}, {"op": "in", "field": "score", "values": [8, 7]},
    {"op": "in", "field": "note", "values": ["x", None]}, {"op": "in", "field": "categories", "values": ["cs.RO"]},
    {"op": "contains", "field": "categories", "value": "cs.LG"},
    {"op": "contains", "field": "categories", "value": "cs"},
    {"op": "contains", "field": "categories", "value": None}, {"op": "contains", "field": "categories", "value": 3.0},
    {"op": "contains", "field": "title", "value": "grasp"}, {"op": "contains", "field": "title", "value": "FÜR"},
    {"op": "contains", "field": "title", "value": "für ELISE"}, {"op": "contains", "field": "title", "value": "%a+"},
    {"op": "contains", "field": "title", "value": ""}, {"op": "contains", "field": "title", "value": 7},
    {"op": "contains", "field": "empty", "value": "x"}, {"op": "contains", "field": "nothing", "value": "x"},
    {"op": "contains", "field": "first", "value": "cs.RO"}, {"op": "contains", "field": "score", "value": 7},
    {"op": "<", "field": "score", "value": 7}, {"op": "<=", "field": "score", "value": 7},
    {"op": ">", "field": "score", "value": 6.9}, {"op": ">=", "field": "half", "value": 0.5},
    {"op": ">", "field": "huge", "value": 2**53}, {"op": "<", "field": "neg", "value": -2},
    {"op": ">", "field": "id", "value": 1}, {"op": ">", "field": "new", "value": 0},
    {"op": "<", "field": "note", "value": 1},
)  # fmt: skip


async def route(world: World, event: Event) -> int:
    return (await world.backend.router.route(event, world.partition)).matched


async def asking(world: World, pattern: str = "arxiv.>", **more: Any) -> ContinuationId:
    """A sleeper with one interest, `i`."""
    return await world.sleeper(subscriptions=((pattern, "i", None),), **more)


async def counts(world: World) -> dict[str, int]:
    return dict(await world.backend.records.counts(world.partition))


async def test_a_filter_finds_what_the_pure_function_finds(world: World) -> None:
    predicates = [PREDICATES.validate_python(asked) for asked in ASKED]
    sleepers = {await asking(world, terms={"i": Terms((predicate,))}): predicate for predicate in predicates}
    await route(world, happening(payload=PAPER))
    told = {str(predicate) for cid, predicate in sleepers.items() if await world.is_ready(cid)}
    assert told == {str(predicate) for predicate in predicates if holds(predicate, PAPER)}
    assert 15 < len(told) < len(ASKED) - 15


async def test_all_filters_must_hold_and_a_payload_that_is_no_object_meets_none(world: World) -> None:
    high = PREDICATES.validate_python({"op": ">", "field": "score", "value": 5})
    robots = PREDICATES.validate_python({"op": "contains", "field": "categories", "value": "cs.RO"})
    await asking(world, terms={"i": Terms((high, robots))})
    assert await route(world, happening(payload={"score": 9, "categories": ["cs.RO"]})) == 1
    assert await route(world, happening(payload={"score": 9, "categories": ["cs.AI"]})) == 0
    assert await route(world, happening(payload={"score": 3, "categories": ["cs.RO"]})) == 0
    odd: tuple[JsonValue, ...] = (None, 7, "score", ["score"], True)
    for payload in odd:
        assert await route(world, happening(payload=payload)) == 0


async def test_an_interest_whose_time_is_over_matches_nothing(world: World) -> None:
    await asking(world, terms={"i": Terms(until_ms=TimeMs(await world.now() + 1_000))})
    assert await route(world, happening()) == 1
    await world.advance(1_000)
    assert await route(world, happening()) == 0


async def test_a_relevance_and_a_filter_go_together(world: World) -> None:
    high = PREDICATES.validate_python({"op": ">", "field": "score", "value": 5})
    await world.sleeper(subscriptions=(("arxiv.>", "i", 0.25),), terms={"i": Terms((high,))})
    assert await route(world, happening(payload={"score": 9})) == 1
    assert await route(world, happening(payload={"score": 1})) == 0
    (waiting,) = await world.backend.projections.pending(world.partition)
    assert waiting.relevance == 0.25


async def test_beyond_its_wakes_of_a_day_an_interest_fills_the_field_and_wakes_nobody(world: World) -> None:
    cid = await asking(world, wake_limits=(("i", 2),))
    for _ in range(2):
        await route(world, happening())
        await route(world, happening())  # it is about to wake: this one wakes nobody
        await world.commit(await world.woken(cid), wake_limits=(("i", 2),))
    await route(world, happening())
    assert not await world.is_ready(cid)
    (waiting,) = await world.backend.projections.pending(world.partition)
    assert (waiting.cid, waiting.source, waiting.interest_id, waiting.relevance) == (cid, "event", "i", None)
    await world.advance(DAY_MS)
    await route(world, happening())
    assert await world.is_ready(cid)


async def test_the_limit_holds_for_what_wakes_by_its_score_too(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", 0.1),), wake_limits=(("i", 0),))
    await route(world, happening())
    (waiting,) = await world.backend.projections.pending(world.partition)
    scored = Projected(waiting.position, cid, "e", b"{}", 1_000, 1.0, letter(Kind.EVENT, "i"))
    assert await world.backend.projections.project(world.partition, [scored]) == 1
    assert not await world.is_ready(cid)
    assert account_of(await counts(world)).fielded == 1


async def test_the_account_of_the_mesh_balances_whatever_became_of_the_events(world: World) -> None:
    reader = await asking(world, "a.>")
    scored = await world.sleeper(subscriptions=(("b.>", "i", 0.5),))
    ends = await asking(world, "c.>")
    await asking(world, "d.>")
    for subject in ("a.x", "a.y"):
        await route(world, happening(subject))
    await world.commit(await world.woken(reader))
    for subject in ("c.x", "c.y"):
        await route(world, happening(subject))
    await world.backend.store.commit(finish(await world.woken(ends), take=[0]))
    for subject in ("b.x", "b.y", "d.x", "nobody.asked"):
        await route(world, happening(subject))
    low, _ = await world.backend.projections.pending(world.partition)
    await world.backend.projections.project(
        world.partition, [Projected(low.position, scored, "e", b"{}", 1_000, 1.0, None)]
    )
    account = account_of(await counts(world))
    assert account.told() == {
        "published": 8, "matched": 7, "applied": 3, "fielded": 1, "dead": 1, "expired": 0, "pending": 2,
    }  # fmt: skip
    assert "7 matched = 3 applied + 1 in fields + 2 pending + 1 dead + 0 expired" in str(account)


async def test_a_dead_letter_is_delivered_again_once_and_its_cause_is_kept(world: World) -> None:
    ended, reader = await asking(world, "a.>"), await asking(world, "b.>")
    await route(world, happening("a.x"))
    await world.backend.store.commit(finish(await world.woken(ended), take=[]))
    (dead,) = await world.backend.records.dead_letters(world.partition)
    assert orjson.loads(dead)["cause"] == "receiver_ended"
    mail = letter(Kind.EVENT, "i", id_="again")
    router = world.backend.router
    assert await router.redeliver(world.partition, dead, ended, mail) == "terminal"
    assert list(await world.backend.records.dead_letters(world.partition)) == [dead]
    assert await router.redeliver(world.partition, dead, reader, mail) == "ok"
    assert await router.redeliver(world.partition, dead, reader, mail) == "gone"
    assert [m.id for m in (await world.woken(reader)).mail] == [MailId("again")]
    assert list(await world.backend.records.dead_letters(world.partition)) == []
    account = account_of(await counts(world))
    assert (account.dead, account.pending) == (0, 1)


async def test_a_dead_letter_may_be_dropped_without_a_mail(world: World) -> None:
    ended = await asking(world, "a.>")
    await route(world, happening("a.x"))
    await world.backend.store.commit(finish(await world.woken(ended), take=[]))
    (dead,) = await world.backend.records.dead_letters(world.partition)
    assert await world.backend.router.redeliver(world.partition, dead, None, None) == "ok"
    assert list(await world.backend.records.dead_letters(world.partition)) == []
