"""The contract of the store: a family leaves in one piece, for ever, and arrives elsewhere once."""

import orjson
import pytest

from maestro.continuation.mail import Kind
from maestro.errors import Conflict, ContinuationMovedError, ContinuationNotFoundError, Fenced, InvalidInput
from maestro.field.decay import half_life_ms
from maestro.field.entry import SourceKind
from maestro.ids import ContinuationId, Rev, home_partition
from maestro.tick.moves import Departed, Member, Packed
from tests.contract.support import BOB, World, batch_of, control, happening, intent, letter, money, tick_end
from tests.contract.test_store_mesh import entry, scored

EVENTS = ("event", "message")


async def member(
    world: World, cid: ContinuationId, *timers: str, interests: tuple[tuple[str, str], ...] = ()
) -> Member:
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    return Member(cid, Rev(glance.rev), timers, interests)


async def full(world: World) -> tuple[ContinuationId, Member]:
    """A sleeper that has something of everything."""
    cid = await world.root(money(usd=100))
    now = await world.backend.clock.now_ms()
    await world.commit(
        await world.take(),
        wake=EVENTS,
        timers={"alarm": now + 50_000},
        subscriptions=(("news.*", "i1", None), ("papers.*", "i2", 0.5)),
        findings=(b'{"title":"f"}',),
        waiting_on_person=b'{"asked":1}',
    )
    woken = await world.woken(cid)
    await world.backend.store.record(cid, woken.epoch, intent(0, money(usd=7)), batch_of(woken))
    await world.backend.store.release(cid, woken.epoch, 5_000, "not now", counts=True)
    await world.backend.store.deliver(cid, letter(Kind.RESULT, "unread"))
    await world.backend.router.route(happening("papers.today"), world.partition)
    (waiting,) = await world.backend.projections.pending(world.partition)
    item = entry("kept", 0.9, now)
    await world.backend.projections.project(world.partition, [scored(waiting, item)])
    assert half_life_ms(SourceKind.FEED) > 0
    await world.backend.router.route(happening("papers.today"), world.partition)
    return cid, await member(world, cid, "alarm", interests=(("news.*", "i1"), ("papers.*", "i2")))


async def left(world: World, *family: Member, by: str | None = "export-1") -> Departed:
    departed = await world.backend.moves.depart(family, by, "mars")
    assert departed is not None
    return departed


async def test_whoever_left_is_fenced_for_ever_and_says_where_to(world: World) -> None:
    cid, whole = await full(world)
    adopted = await world.woken(cid)
    departed = await left(world, whole)
    backend = world.backend

    with pytest.raises(Fenced):
        await backend.store.commit(tick_end(adopted))
    for refused in (
        backend.store.deliver(cid, letter()),
        backend.steering.order(cid, control()),
        backend.steering.rebudget(cid, money(usd=1), money(), "later"),
    ):
        with pytest.raises(ContinuationMovedError, match=f"{cid} has moved to mars"):
            await refused
    assert await backend.journals.settle(cid, 0, intent().call_id, "late", False, money(usd=1)) is None
    await world.advance(10**9)
    assert (await backend.timers.fire(world.partition)).count == 0
    before = len(await backend.records.dead_letters(world.partition))
    for subject in ("news.today", "papers.today"):
        await backend.router.route(happening(subject), world.partition)
    buried = [orjson.loads(letter) for letter in await backend.records.dead_letters(world.partition)]
    assert [(letter["cause"], letter["to"]) for letter in buried[before:]] == [("moved", cid)] * 2
    assert await backend.projections.pending(world.partition) == []
    assert await backend.records.waiting(world.partition) == {}
    assert await backend.store.adopt("default", BOB, 1_000, world.partition) is None
    glance = await backend.records.glance(cid)
    assert glance is not None
    assert (glance.moved_to, glance.moved_by, glance.epoch) == ("mars", "export-1", departed.packed[0].epoch)
    assert glance.epoch > adopted.epoch


async def test_the_same_export_again_gives_the_same_and_another_is_refused(world: World) -> None:
    _, whole = await full(world)
    first = await left(world, whole)
    await world.advance(1_000)
    assert await left(world, whole) == first
    for other in ("export-2", None):
        with pytest.raises(ContinuationMovedError):
            await left(world, whole, by=other)


async def test_a_copy_changes_nothing(world: World) -> None:
    cid, whole = await full(world)
    before = await world.backend.records.glance(cid)
    copy = await left(world, whole, by=None)
    assert await world.backend.records.glance(cid) == before
    assert len(await world.backend.projections.pending(world.partition)) == 1
    assert [pack.rest for pack in copy.packed] == [pack.rest for pack in (await left(world, whole, by=None)).packed]


async def test_who_changed_meanwhile_does_not_leave(world: World) -> None:
    cid, whole = await full(world)
    await world.commit(await world.woken(cid))
    assert await world.backend.moves.depart([whole], "export-1", "mars") is None
    assert (await world.backend.records.glance(cid)).moved_to is None  # type: ignore[union-attr]
    with pytest.raises(ContinuationNotFoundError):
        await left(world, Member(ContinuationId("0123456789abcdefghjkma-0"), Rev(1), (), ()))


async def test_what_arrives_is_what_left_under_a_higher_epoch(world: World) -> None:
    """There and back again: the store is its own other store, once what left has left."""
    cid, whole = await full(world)
    before = await world.backend.records.glance(cid)
    departed = await left(world, whole)
    assert before is not None
    assert await world.backend.moves.arrive(departed, "export-1")
    after = await world.backend.records.glance(cid)
    assert after is not None
    assert (after.moved_to, after.ledger, after.rev, after.unread) == (None, before.ledger, before.rev, before.unread)
    assert (after.error, after.tries, after.wake_keys) == (before.error, before.tries, before.wake_keys)
    assert after.epoch == before.epoch + 2

    backend = world.backend
    assert [body for _, body in await backend.records.log(cid)] == [body for _, body in departed.packed[0].log]
    assert await backend.records.waiting(world.partition) == {cid: b'{"asked":1}'}
    assert await backend.records.findings(cid) == [b'{"title":"f"}']
    assert [w.entry.title for w in await backend.shelf.top(cid, 5, await backend.clock.now_ms())] == ["kept"]
    assert len(await backend.projections.pending(world.partition)) == 1
    assert (await backend.router.route(happening("news.today"), world.partition)).matched == 1
    await world.advance(60_000)
    assert (await backend.timers.fire(world.partition)).count == 2, "the alarm, and the retry"
    again = await world.take()
    assert (again.cid, again.batch is not None, again.journal[0].price) == (cid, True, money(usd=7))
    assert {mail.kind for mail in again.mail} >= {Kind.RESULT, Kind.TIMER, Kind.EVENT}


async def test_what_it_has_seen_it_knows_where_it_arrives(world: World) -> None:
    cid, whole = await full(world)
    known = letter()
    await world.backend.store.deliver(cid, known)
    await world.backend.steering.rebudget(cid, money(usd=5), money(), "once")
    await world.backend.moves.arrive(await left(world, whole), "export-1")
    assert (await world.backend.store.deliver(cid, known)).duplicate
    ledger = await world.backend.steering.rebudget(cid, money(usd=5), money(), "once")
    assert ledger.account("usd").granted == 105


async def test_arriving_twice_is_arriving_once_however_long_it_has_lived_there(world: World) -> None:
    cid, whole = await full(world)
    departed = await left(world, whole)
    assert await world.backend.moves.arrive(departed, "export-1")
    await world.commit(await world.woken(cid))
    before = await world.backend.records.glance(cid)
    assert not await world.backend.moves.arrive(departed, "export-1")
    assert await world.backend.records.glance(cid) == before
    with pytest.raises(Conflict, match="lives here already"):
        await world.backend.moves.arrive(departed, "export-2")


async def test_an_old_export_does_not_bring_back_who_has_left_again(world: World) -> None:
    _, whole = await full(world)
    first = await left(world, whole)
    await world.backend.moves.arrive(first, "export-1")
    await left(world, whole, by="export-2")
    assert not await world.backend.moves.arrive(first, "export-1")
    with pytest.raises(Conflict):
        await world.backend.moves.arrive(first, "export-3")


async def test_who_was_ready_or_in_hand_is_ready_where_it_arrives(world: World) -> None:
    two = {await world.root(), await world.root()}
    await world.take()
    for cid in two:
        await world.backend.moves.arrive(await left(world, await member(world, cid), by=cid), cid)
    assert {(await world.take()).cid, (await world.take()).cid} == two


async def test_a_frozen_one_arrives_frozen(world: World) -> None:
    cid, whole = await full(world)
    await world.backend.steering.freeze(cid, True)
    await world.backend.store.deliver(cid, letter())
    await world.backend.moves.arrive(await left(world, whole), "export-1")
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_a_family_goes_as_one_and_a_child_does_not_go_alone(world: World) -> None:
    parent, kids = await world.family(money(usd=100), money(usd=30), money(usd=20))
    members = [await member(world, cid) for cid in (parent, *kids)]
    with pytest.raises(Conflict, match=f"{kids[0]} is a child of {parent}"):
        await left(world, members[1])
    departed = await left(world, *members)
    assert [pack.cid for pack in departed.packed] == [parent, *kids]
    assert await world.backend.moves.arrive(departed, "export-1")
    assert (await world.ledger(parent)).account("usd").lent == 50


async def test_a_name_that_is_taken_there_and_a_strange_store_are_refused(world: World) -> None:
    _, whole = await full(world)
    departed = await left(world, whole)
    (pack,) = departed.packed
    at_home = (f"taken-{n}" for n in range(99))
    taken = next(name for name in at_home if home_partition(name, world.backend.partitions) == world.partition)
    await world.root(name=taken)
    named = Packed(pack.cid, taken, pack.epoch, pack.rev, pack.checkpoint, pack.log, pack.rest)
    with pytest.raises(Conflict, match=f"'{taken}' belongs to"):
        await world.backend.moves.arrive(Departed(departed.kind, departed.at_ms, (named,)), "export-1")
    with pytest.raises(InvalidInput, match="of a store of kind stone"):
        await world.backend.moves.arrive(Departed("stone", departed.at_ms, departed.packed), "export-1")
    far = Packed(
        ContinuationId("0123456789abcdefghjkma-9"), None, *(pack.epoch, pack.rev, pack.checkpoint, pack.log, pack.rest)
    )
    with pytest.raises(InvalidInput, match="lives in partition 9, this store has"):
        await world.backend.moves.arrive(Departed(departed.kind, departed.at_ms, (far,)), "export-1")
