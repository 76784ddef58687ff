"""The contract of the store: events find who asked for them, outgoing rows leave in order, fields fill."""

import asyncio
import math

import orjson
import pytest

from maestro.continuation.mail import Kind
from maestro.field.decay import half_life_ms, rank_key
from maestro.field.entry import Entry, SourceKind, entry_id
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.mesh.source import SourceRecord
from maestro.runtime.ports import PROJECT, RELAY, Projected, Projection
from maestro.tick.store import OutboxRow
from tests.contract.support import World, child_birth, control, finish, happening, letter, money


def row(name: str) -> OutboxRow:
    return OutboxRow(id=name, kind="mail", to="somebody", payload=b'{"n":1}')


def entry(key: str, score: float, now: TimeMs, kind: SourceKind = SourceKind.FEED) -> Entry:
    return Entry(
        id=entry_id("test", key),
        source="test",
        kind=kind,
        title=key,
        created_at_ms=now,
        last_reinforced_at_ms=now,
        score=score,
    )


def scored(waiting: Projection, item: Entry, wakes: bool = False) -> Projected:
    half_life = half_life_ms(item.kind)
    return Projected(
        position=waiting.position,
        cid=waiting.cid,
        entry_id=item.id,
        entry=item.model_dump_json().encode(),
        half_life_ms=half_life,
        rank_key=rank_key(item.score, 0, item.last_reinforced_at_ms, half_life),
        mail=letter(Kind.EVENT, waiting.interest_id) if wakes else None,
    )


async def projections(world: World) -> list[Projection]:
    return list(await world.backend.projections.pending(world.partition))


async def route(world: World, event: Event) -> int:
    return (await world.backend.router.route(event, world.partition)).matched


async def fill(world: World, cid: ContinuationId, items: list[Entry]) -> None:
    """The entries are in the field, by way of findings."""
    adopted = await world.woken(cid)
    await world.commit(adopted, projections=tuple((cid, item.id.encode()) for item in items))
    by_id: dict[str, Entry] = {item.id: item for item in items}
    while waiting := await projections(world):
        await world.backend.projections.project(
            world.partition, [scored(one, by_id[one.payload.decode()]) for one in waiting]
        )


async def test_an_event_is_mail_for_who_asked_for_its_subject(world: World) -> None:
    asked = await world.sleeper(subscriptions=(("arxiv.cs.AI", "i-1", None),))
    other = await world.sleeper(subscriptions=(("arxiv.math.*", "i-2", None),))
    event = happening("arxiv.cs.AI", payload={"title": "Sleeping agents"}).model_copy(
        update={"hops": 3, "causation_id": "cause-1"}
    )
    assert await route(world, event) == 1
    assert not await world.is_ready(other)
    (mail,) = (await world.take()).mail
    assert str(mail.id) == event.id
    assert (mail.kind, mail.correlation, mail.wake_key) == (Kind.EVENT, "i-1", "event:i-1")
    assert (mail.sender, mail.subject, mail.cause) == ("source.arxiv", "arxiv.cs.AI", "cause-1")
    assert (mail.trust, mail.hops) == ("untrusted", 3)
    assert Event.model_validate(mail.body) == event
    assert not await world.is_ready(asked)


@pytest.mark.parametrize("pattern", ["arxiv.cs.AI", "arxiv.*.AI", "*.*.*", "arxiv.>", ">"])
async def test_patterns_that_match(world: World, pattern: str) -> None:
    await world.sleeper(subscriptions=((pattern, "i", None),))
    assert await route(world, happening("arxiv.cs.AI")) == 1


@pytest.mark.parametrize("pattern", ["arxiv.cs", "arxiv.*", "arxiv.cs.AI.>", "*.AI", "arxiv.cs.ai"])
async def test_patterns_that_do_not_match(world: World, pattern: str) -> None:
    await world.sleeper(subscriptions=((pattern, "i", None),))
    assert await route(world, happening("arxiv.cs.AI")) == 0


async def test_the_same_fact_told_again_changes_nothing(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", None),))
    event = happening()
    first = await world.backend.router.route(event, world.partition)
    again = await world.backend.router.route(event, world.partition)
    assert ((first.duplicate, first.matched), (again.duplicate, again.matched)) == ((False, 1), (True, 0))
    assert await world.unread(cid) == 1
    assert len(await world.backend.records.events(world.partition)) == 1


async def test_two_facts_of_one_source_are_two(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", None),))
    await route(world, happening(key="a"))
    await route(world, happening(key="b"))
    assert await world.unread(cid) == 2


async def test_several_interests_of_one_continuation_are_one_mail(world: World) -> None:
    interests = (("arxiv.>", "scored", 0.3), ("arxiv.cs.*", "plain", None), ("arxiv.cs.AI", "other", 0.1))
    await world.sleeper(subscriptions=interests)
    assert await route(world, happening()) == 1
    assert [mail.correlation for mail in (await world.take()).mail] == ["plain"]
    assert await projections(world) == []


async def test_an_interest_with_a_relevance_waits_for_its_score(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", 0.35),))
    assert await route(world, event := happening()) == 1
    assert not await world.is_ready(cid)
    (waiting,) = await projections(world)
    assert (waiting.cid, waiting.source, waiting.interest_id, waiting.relevance) == (cid, "event", "i", 0.35)
    assert Event.model_validate_json(waiting.payload) == event
    assert await world.backend.signals.wait(PROJECT, 1_000)


async def test_an_interest_changed_or_given_up_no_longer_counts(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", None), ("news.>", "n", None)))
    await world.commit(
        await world.woken(cid),
        unsubscriptions=(("arxiv.>", "i"), ("news.>", "n")),
        subscriptions=(("news.>", "n", 0.5),),
    )
    assert await route(world, happening("arxiv.cs")) == 0
    assert await route(world, happening("news.today")) == 1
    assert len(await projections(world)) == 1


async def test_an_event_is_kept_newest_first_and_forwarded_as_rows(world: World) -> None:
    others = [Partition(7), Partition(8)]
    first, second = happening(), happening()
    await world.backend.router.route(first, world.partition, others)
    await world.backend.router.route(second, world.partition)
    kept = [Event.model_validate_json(body) for body in await world.backend.records.events(world.partition)]
    assert kept == [second, first]
    rows = [row for _, row in await world.backend.outbox.pending(world.partition)]
    assert [(r.id, r.kind, r.to) for r in rows] == [(first.id, "event", "7"), (first.id, "event", "8")]
    assert Event.model_validate_json(rows[0].payload) == first
    assert await world.backend.signals.wait(RELAY, 1_000)


async def test_one_that_sleeps_through_a_thousand_events_ticks_once(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", None),))
    for _ in range(50):
        await route(world, happening())
    adopted = await world.take()
    assert len(adopted.mail) == 50
    await world.commit(adopted)
    assert not await world.is_ready(cid)


async def test_outgoing_rows_leave_in_the_order_of_their_commits(world: World) -> None:
    cid = await world.sleeper(outbox=(row("a"), row("b")))
    await world.commit(await world.woken(cid), outbox=(row("c"),))
    assert await world.backend.signals.wait(RELAY, 1_000)
    pending = await world.backend.outbox.pending(world.partition)
    assert [r for _, r in pending] == [row("a"), row("b"), row("c")]
    assert [r.id for _, r in await world.backend.outbox.pending(world.partition, limit=2)] == ["a", "b"]
    await world.backend.outbox.done(world.partition, [pending[0][0], pending[2][0]])
    await world.backend.outbox.done(world.partition, [pending[0][0]])
    await world.backend.outbox.done(world.partition, [])
    assert [r.id for _, r in await world.backend.outbox.pending(world.partition)] == ["b"]


async def test_a_row_that_can_never_arrive_is_one_dead_letter_with_its_cause(world: World) -> None:
    await world.sleeper(outbox=(row("a"), row("b")))
    (position, dead), _ = await world.backend.outbox.pending(world.partition)
    for _ in range(2):
        await world.backend.outbox.bury(world.partition, position, dead, "already_terminal")
    (letter_,) = await world.backend.records.dead_letters(world.partition)
    told = orjson.loads(letter_)
    assert {k: told[k] for k in ("cause", "to", "kind", "id", "payload")} == {
        "cause": "already_terminal", "to": "somebody", "kind": "mail", "id": "a", "payload": '{"n":1}',
    }  # fmt: skip
    assert [r.id for _, r in await world.backend.outbox.pending(world.partition)] == ["b"]


async def test_a_finding_is_queued_for_the_fields_of_its_readers_and_wakes_nobody(world: World) -> None:
    parent, (child,) = await world.family(money(), money())
    await world.commit(await world.woken(child), projections=((child, b'{"f":1}'), (parent, b'{"f":1}')))
    waiting = await projections(world)
    assert [(p.cid, p.source, p.interest_id, p.relevance, p.payload) for p in waiting] == [
        (child, "finding", None, None, b'{"f":1}'),
        (parent, "finding", None, None, b'{"f":1}'),
    ]
    assert len({p.position for p in waiting}) == 2
    assert not await world.is_ready(parent)


async def test_a_scored_projection_enters_the_field_once_and_wakes_if_it_is_to(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", 0.3),))
    await route(world, happening())
    await route(world, happening())
    low, high = await projections(world)
    now = await world.now()
    items = [scored(low, entry("low", 0.1, now)), scored(high, entry("high", 0.9, now), wakes=True)]
    assert await world.backend.projections.project(world.partition, items[:1]) == 1
    assert not await world.is_ready(cid)
    assert await world.backend.projections.project(world.partition, items) == 1
    assert await world.backend.projections.project(world.partition, items) == 0
    assert [mail.kind for mail in (await world.take()).mail] == [Kind.EVENT]
    top = await world.backend.shelf.top(cid, 10, await world.now())
    assert [weighed.entry.title for weighed in top] == ["high", "low"]
    assert top[0].entry == entry("high", 0.9, now)
    assert await projections(world) == []


async def test_a_projection_for_one_who_is_gone_is_dropped(world: World) -> None:
    ghost = (await world.birth()).cid
    await world.sleeper(projections=((ghost, b"{}"),))
    (waiting,) = await projections(world)
    now = await world.now()
    assert await world.backend.projections.project(world.partition, [scored(waiting, entry("x", 0.5, now))]) == 0
    assert await projections(world) == []


async def test_the_top_of_a_field_is_what_weighs_most_now_whatever_its_half_life(world: World) -> None:
    cid = await world.sleeper()
    now = await world.now()
    day = 24 * 3_600_000
    await fill(
        world,
        cid,
        [
            entry("old feed", 0.9, TimeMs(now - 14 * day)),  # half of 0.9 by now
            entry("fresh feed", 0.5, now),
            entry("old finding", 0.9, TimeMs(now - 14 * day), SourceKind.FINDING),  # 0.85 of 0.9
            entry("nothing", 0.0, now),
        ],
    )
    top = await world.backend.shelf.top(cid, 3, now)
    assert [weighed.entry.title for weighed in top] == ["old finding", "fresh feed", "old feed"]
    assert math.isclose(top[1].weight, 0.5, rel_tol=1e-6)
    assert len(await world.backend.shelf.top(cid, 10, now)) == 4


async def test_the_same_entry_again_takes_its_new_place(world: World) -> None:
    cid = await world.sleeper()
    now = await world.now()
    await fill(world, cid, [entry("a", 0.2, now), entry("b", 0.5, now)])
    await fill(world, cid, [entry("a", 0.8, now)])
    assert [w.entry.title for w in await world.backend.shelf.top(cid, 10, now)] == ["a", "b"]


async def test_a_field_keeps_the_best_thousand_of_a_half_life(world: World) -> None:
    cid = await world.sleeper()
    now = await world.now()
    await fill(world, cid, [entry(f"e{n}", (n + 1) / 2_000, now) for n in range(1_003)])
    top = await world.backend.shelf.top(cid, 2_000, now)
    assert len(top) == 1_000
    assert top[-1].entry.title == "e3"


async def test_an_unknown_field_is_empty(world: World) -> None:
    cid = await world.sleeper()
    assert list(await world.backend.shelf.top(cid, 10, await world.now())) == []


async def test_a_signal_before_the_wait_is_not_lost(world: World) -> None:
    await world.backend.signals.rouse("x")
    assert await world.backend.signals.wait("x", 1_000)
    assert not await world.backend.signals.wait("x", 10)


async def test_a_signal_rouses_one_sleeper(world: World) -> None:
    signals = world.backend.signals
    sleepers = [asyncio.create_task(signals.wait("x", 5_000)) for _ in range(2)]
    await signals.rouse("x")
    done, asleep = await asyncio.wait(sleepers, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(asleep)) == (1, 1)
    await signals.rouse("x")
    assert await asyncio.gather(*sleepers) == [True, True]


async def test_sources_are_kept_by_name(world: World) -> None:
    sources = world.backend.sources
    record = SourceRecord(name="ai", subject="arxiv.cs.AI", url="https://example.org/feed.xml")
    assert await sources.load("ai") is None
    await sources.save(record)
    await sources.save(changed := record.model_copy(update={"etag": "e-1"}))
    await sources.save(first := record.model_copy(update={"name": "aa"}))
    assert await sources.load("ai") == changed
    assert list(await sources.list()) == [first, changed]
    assert await sources.remove("ai")
    assert not await sources.remove("ai")
    assert list(await sources.list()) == [first]


async def test_an_ended_one_may_end_with_outgoing_rows_and_children(world: World) -> None:
    await world.root()
    adopted = await world.take()
    birth = child_birth(adopted)
    order = control("kill")
    await world.backend.store.commit(
        finish(adopted, births=(birth,), family_mail=((birth.cid, order),), outbox=(row("a"),))
    )
    child = await world.take()
    assert (child.cid, child.controls) == (birth.cid, (order,))
    assert len(await world.backend.outbox.pending(world.partition)) == 1


async def test_events_routed_together_are_as_those_routed_one_by_one(world: World) -> None:
    """In their order, each fact once, with all who match each."""
    cid = await world.sleeper(subscriptions=(("arxiv.>", "i", None),))
    others = [Partition(number) for number in range(world.backend.partitions) if number != world.partition]
    before = await world.count("outbox")
    events = [happening(f"arxiv.cs.x{n % 3}", key=f"of many {n % 21}") for n in range(30)]
    stray = happening("news.today")
    routed = await world.backend.router.route_all([*events, stray], world.partition, others)
    assert [(each.duplicate, each.matched) for each in routed] == [(False, 1)] * 21 + [(True, 0)] * 9 + [(False, 0)]
    assert await world.count("outbox") == before + 22 * len(others)
    adopted = await world.woken(cid)
    assert [str(mail.id) for mail in adopted.mail] == [str(event.id) for event in events[:21]]
    assert [mail.subject for mail in adopted.mail] == [event.subject for event in events[:21]]
    assert adopted.mail[7].body == events[7].model_dump(mode="json")
    assert await world.backend.router.route_all([], world.partition) == []


async def test_a_crowd_that_every_event_matches_is_told_of_each(world: World) -> None:
    """More than one step of the store tells at once."""
    crowd = [await world.sleeper(subscriptions=(("arxiv.>", "i", None),)) for _ in range(40)]
    events = [happening("arxiv.cs", key=f"to all {n}") for n in range(16)]
    routed = await world.backend.router.route_all(events, world.partition)
    assert [each.matched for each in routed] == [40] * 16
    assert {await world.unread(cid) for cid in crowd} == {16}
