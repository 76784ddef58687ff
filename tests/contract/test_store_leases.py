"""The contract of the store: fencing is safety, leases only speed things up."""

from dataclasses import replace

import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import ENDING, Control
from maestro.errors import Fenced
from maestro.ids import Epoch, Rev
from tests.contract.support import ALICE, BOB, LEASE_MS, World, batch_of, control, finish, intent, money, tick_end


async def reclaimed(world: World) -> None:
    assert await world.backend.leases.reclaim(ALICE, world.partition) == 1


async def test_a_stale_epoch_commits_nothing_and_is_counted(world: World) -> None:
    cid = await world.root()
    stale = await world.take(ALICE)
    await reclaimed(world)
    fresh = await world.take(BOB)
    with pytest.raises(Fenced) as refused:
        await world.commit(stale, timers={"t": stale.now_ms}, facts=(b'{"type":"stale"}',))
    assert (refused.value.cid, refused.value.epoch, refused.value.current) == (cid, stale.epoch, fresh.epoch)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.rev, glance.holder, glance.checkpoint) == (0, BOB, fresh.checkpoint)
    assert (await world.backend.timers.fire(world.partition)).count == 0
    facts = await world.backend.records.feed(world.partition)
    assert b'{"type":"stale"}' not in [fact.body for fact in facts]
    assert await world.count("fenced") == 1
    assert (await world.commit(fresh)).rev == 1


async def test_a_dead_holder_is_fenced_before_anybody_else_adopts(world: World) -> None:
    await world.root()
    stale = await world.take(ALICE)
    await reclaimed(world)
    with pytest.raises(Fenced):
        await world.commit(stale)


async def test_a_stale_epoch_neither_records_nor_releases(world: World) -> None:
    cid = await world.root(money(usd=100))
    stale = await world.take(ALICE)
    await reclaimed(world)
    fresh = await world.take(BOB)
    with pytest.raises(Fenced):
        await world.backend.store.record(cid, stale.epoch, intent(0, money(usd=10)), batch_of(stale))
    with pytest.raises(Fenced):
        await world.backend.store.release(cid, stale.epoch, 0, "stale", counts=True)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.holder, glance.error, glance.ledger.free) == (BOB, None, money(usd=100))
    assert await world.count("fenced") == 2
    assert fresh.journal == {}


async def test_an_epoch_that_never_was_is_fenced(world: World) -> None:
    await world.root()
    adopted = await world.take()
    future = tick_end(adopted)
    with pytest.raises(Fenced):
        await world.backend.store.commit(replace(future, epoch=Epoch(99)))
    with pytest.raises(Fenced):
        await world.backend.store.record((await world.birth()).cid, Epoch(1), intent(), batch_of(adopted))


@pytest.mark.parametrize("rev", [-1, 0, 2, 3])
async def test_a_revision_out_of_order_is_fenced(world: World, rev: int) -> None:
    await world.root()
    adopted = await world.take()
    with pytest.raises(Fenced):
        await world.backend.store.commit(replace(tick_end(adopted), rev=Rev(rev)))
    assert await world.count("fenced") == 1


async def test_who_committed_holds_nothing_any_more(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    await world.commit(adopted)
    with pytest.raises(Fenced):
        await world.backend.store.record(cid, adopted.epoch, intent(0, money(usd=10)), batch_of(adopted))
    with pytest.raises(Fenced):
        await world.backend.store.release(cid, adopted.epoch, 0, "too late", counts=True)
    assert (await world.ledger(cid)).free == money(usd=100), "a call that outlived its tick reserved money for nobody"
    assert not await world.is_ready(cid)


async def test_who_released_holds_nothing_any_more(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.release(cid, adopted.epoch, 60_000, "x", counts=False)
    with pytest.raises(Fenced):
        await world.commit(adopted)
    with pytest.raises(Fenced):
        await world.backend.store.release(cid, adopted.epoch, 0, None, counts=False)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.rev, glance.tries) == (0, 0)


async def test_what_a_dead_holder_held_is_ready_again_and_its_try_counted(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take(ALICE)
    entry = intent(0, money(usd=10))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await reclaimed(world)
    assert await world.is_ready(cid)
    again = await world.take(BOB)
    assert (again.epoch, again.tries) == (adopted.epoch + 2, 2)
    assert again.journal == {0: entry}
    assert again.batch == batch_of(adopted)
    assert again.ledger.free == money(usd=90)


async def test_reclaiming_twice_is_reclaiming_once(world: World) -> None:
    cid = await world.root()
    await world.take(ALICE)
    await reclaimed(world)
    assert await world.backend.leases.reclaim(ALICE, world.partition) == 0
    assert (await world.take(BOB)).cid == cid
    assert await world.backend.leases.reclaim(ALICE, world.partition) == 0


async def test_a_reclaim_touches_nobody_elses(world: World) -> None:
    await world.root()
    await world.root()
    await world.take(ALICE)
    other = await world.take(BOB)
    await reclaimed(world)
    assert (await world.commit(other)).rev == 1


async def test_a_frozen_one_of_a_dead_holder_is_ready_when_it_is_thawed(world: World) -> None:
    cid = await world.root()
    await world.take(ALICE)
    await world.backend.steering.freeze(cid, True)
    await reclaimed(world)
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_a_lease_is_over_when_its_time_is(world: World) -> None:
    await world.root()
    await world.take(ALICE)
    assert list(await world.backend.leases.expired(world.partition)) == []
    await world.advance(LEASE_MS)
    assert list(await world.backend.leases.expired(world.partition)) == [ALICE]
    await reclaimed(world)
    assert list(await world.backend.leases.expired(world.partition)) == []


async def test_a_renewed_lease_runs_from_then(world: World) -> None:
    await world.root()
    await world.take(ALICE)
    await world.advance(LEASE_MS - 1_000)
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == []
    await world.advance(LEASE_MS - 1_000)
    assert list(await world.backend.leases.expired(world.partition)) == []
    await world.advance(1_000)
    assert list(await world.backend.leases.expired(world.partition)) == [ALICE]


async def test_a_lease_that_is_over_fences_nobody_by_itself(world: World) -> None:
    await world.root()
    adopted = await world.take()
    await world.advance(10 * LEASE_MS)
    assert (await world.commit(adopted)).rev == 1


async def test_renewing_tells_who_of_the_held_has_control_mail(world: World) -> None:
    await world.root()
    await world.root()
    one, other = await world.take(ALICE), await world.take(ALICE)
    await world.backend.store.deliver(other.cid, control("kill"))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == [other.cid]
    assert list((await world.backend.store.renew(BOB, LEASE_MS)).urgent) == []
    await world.commit(one)
    await world.backend.store.commit(finish(other))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == []


async def test_renewing_tells_what_is_held_and_what_was_taken_is_not_there(world: World) -> None:
    await world.root()
    await world.root()
    assert (await world.backend.store.renew(ALICE, LEASE_MS)).held == ()
    one, other = await world.take(ALICE), await world.take(ALICE)
    assert set((await world.backend.store.renew(ALICE, LEASE_MS)).held) == {one.cid, other.cid}
    await world.backend.store.commit(finish(one))
    assert (await world.backend.store.renew(ALICE, LEASE_MS)).held == (other.cid,)
    await reclaimed(world)
    await world.take(BOB)
    assert (await world.backend.store.renew(ALICE, LEASE_MS)).held == ()
    assert (await world.backend.store.renew(BOB, LEASE_MS)).held == (other.cid,)


async def test_an_order_that_it_was_adopted_with_interrupts_nobody(world: World) -> None:
    cid = await world.sleeper()
    await world.woken(cid, ALICE)
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == []
    await world.backend.store.deliver(cid, control("kill"))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == [cid]


@pytest.mark.parametrize("order", [each for each in Control if each not in ENDING])
async def test_what_ends_nobody_interrupts_nobody_in_mid_tick(world: World, order: Control) -> None:
    await world.root()
    adopted = await world.take(ALICE)
    await world.backend.store.deliver(adopted.cid, control(order))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == []
    await world.backend.store.deliver(adopted.cid, control(Control.CANCEL))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == [adopted.cid]


async def test_an_order_to_end_interrupts_once_and_not_those_who_carry_it_out(world: World) -> None:
    """Else whoever asks again and again, more often than it can clean up, keeps it from ending."""
    cid = await world.sleeper()
    await world.backend.store.deliver(cid, control(Control.CANCEL))
    await world.take(ALICE)
    await world.backend.store.deliver(cid, control(Control.CANCEL))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == []
    await world.backend.store.deliver(cid, control(Control.KILL))
    assert list((await world.backend.store.renew(ALICE, LEASE_MS)).urgent) == [cid]


async def test_a_holder_of_nothing_needs_no_lease(world: World) -> None:
    await world.root()
    await world.commit(await world.take(ALICE))
    await world.backend.store.renew(ALICE, LEASE_MS)
    await world.advance(2 * LEASE_MS)
    for holder in await world.backend.leases.expired(world.partition):
        assert await world.backend.leases.reclaim(holder, world.partition) == 0
    assert list(await world.backend.leases.expired(world.partition)) == []


async def test_a_holder_may_hold_several(world: World) -> None:
    cids = {await world.root() for _ in range(3)}
    for _ in cids:
        await world.take(ALICE)
    assert await world.backend.leases.reclaim(ALICE, world.partition) == 3
    assert {(await world.take(BOB)).cid for _ in cids} == cids


async def test_an_answer_is_taken_whoever_holds_the_continuation_by_then(world: World) -> None:
    cid = await world.root(money(usd=100))
    stale = await world.take(ALICE)
    entry = intent(0, money(usd=10))
    await world.backend.store.record(cid, stale.epoch, entry, batch_of(stale))
    await reclaimed(world)
    await world.backend.journals.settle(cid, 0, entry.call_id, "paid for", failed=False, charge=money(usd=7))
    again = await world.take(BOB)
    assert (again.journal[0].answer, again.journal[0].answered) == ("paid for", True)
    assert again.ledger.spent == BudgetVector({"usd": 7})
