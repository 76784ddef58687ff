"""The contract of the store: what is held for want of code stays byte for byte, and who lives is read in pages."""

from dataclasses import replace

import orjson
import pytest

from maestro.continuation.lifecycle import Hold
from maestro.errors import Fenced
from maestro.ids import ContinuationId, Partition
from maestro.tick.records import Glance
from maestro.tick.store import Adopted, Held
from tests.contract.support import ALICE, World, batch_of, control, finish, intent, letter, money, tick_end


def held(adopted: Adopted, hold: Hold = Hold.NEEDS_MIGRATION) -> Held:
    return Held(
        cid=adopted.cid,
        epoch=adopted.epoch,
        hold=hold,
        reason="no step from version 1",
        controls_taken=len(adopted.controls),
        waiting_on_person=b'{"hold":"needs_migration"}',
        facts=(b'{"type":"held"}',),
    )


async def look(world: World, cid: ContinuationId) -> Glance:
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    return glance


@pytest.mark.parametrize("hold", [Hold.NEEDS_MIGRATION, Hold.UNSERVABLE])
async def test_a_hold_for_want_of_code_is_told_and_changes_nothing_else(world: World, hold: Hold) -> None:
    cid = await world.sleeper(money(usd=100), timers={"t": await world.now() + 60_000})
    await world.backend.store.deliver(cid, letter())
    before, log = await look(world, cid), list(await world.backend.records.log(cid))
    await world.backend.store.hold(held(await world.take(), hold))
    after = await look(world, cid)
    assert (after.hold, after.error, after.holder, after.ready_since_ms) == (hold, "no step from version 1", None, None)
    unheld = replace(after, epoch=before.epoch, hold=None, error=None, last_holder=before.last_holder)
    assert unheld == replace(before, ready_since_ms=None)
    assert list(await world.backend.records.log(cid)) == log
    assert dict(await world.backend.records.waiting(world.partition)) == {cid: b'{"hold":"needs_migration"}'}
    told = [orjson.loads(fact.body)["type"] for fact in await world.backend.records.feed(world.partition)]
    assert told[-1] == "held"


async def test_no_mail_and_no_timer_wakes_what_is_held_and_both_are_there_when_an_order_does(world: World) -> None:
    cid = await world.sleeper(timers={"t": await world.now() + 1_000})
    await world.backend.store.deliver(cid, letter())
    await world.backend.store.hold(held(await world.take()))
    await world.backend.store.deliver(cid, letter())
    await world.advance(2_000)
    await world.backend.timers.fire(world.partition)
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, control("thaw"))
    again = await world.take()
    assert (len(again.mail), len(again.controls), again.last_error) == (3, 1, "no step from version 1")
    await world.commit(again)
    glance = await look(world, cid)
    assert (glance.hold, glance.error, glance.unread) == (None, None, 0)
    assert dict(await world.backend.records.waiting(world.partition)) == {}


async def test_the_order_that_was_tried_is_gone_and_one_that_came_meanwhile_is_tried_at_once(world: World) -> None:
    cid = await world.sleeper()
    adopted = await world.woken(cid)
    await world.backend.store.hold(held(adopted))
    assert not await world.is_ready(cid), "nothing would have changed"
    await world.backend.store.deliver(cid, control("thaw"))
    again = await world.take()
    await world.backend.store.deliver(cid, control("kill"))
    await world.backend.store.hold(held(again))
    third = await world.take()
    assert [mail.subject for mail in third.controls] == ["kill"]


async def test_adopted_again_it_is_held_no_more_and_its_tries_begin_anew(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.store.release(cid, (await world.woken(cid)).epoch, 0, "boom", counts=True)
    again = await world.take()
    assert again.tries == 2
    await world.backend.store.hold(held(again))
    third = await world.woken(cid)
    assert third.tries == 1
    assert (await look(world, cid)).hold is None
    await world.backend.store.release(cid, third.epoch, 5_000, "a try under other code", counts=True)
    await world.backend.store.deliver(cid, letter())
    assert await world.is_ready(cid), "mail wakes it again, as it wakes any other that is between two tries"


async def test_its_paid_answers_and_open_reservations_stay(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    adopted = await world.woken(cid)
    entry = intent(price=money(usd=10))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    ledger = await world.ledger(cid)
    await world.backend.store.hold(held(adopted))
    assert await world.ledger(cid) == ledger
    again = await world.woken(cid)
    assert again.journal[0].call_id == entry.call_id
    assert again.batch == batch_of(adopted)
    await world.commit(again)


async def test_a_stale_holder_holds_nobody(world: World) -> None:
    cid = await world.sleeper()
    stale = await world.woken(cid)
    await world.backend.leases.reclaim(ALICE, world.partition)
    with pytest.raises(Fenced):
        await world.backend.store.hold(held(stale))
    fresh = await world.take()
    await world.backend.store.hold(held(fresh))
    with pytest.raises(Fenced):
        await world.backend.store.hold(held(fresh))


async def test_a_frozen_one_is_held_and_an_order_waits_for_its_thaw(world: World) -> None:
    cid = await world.sleeper()
    adopted = await world.woken(cid)
    await world.backend.steering.freeze(cid, True)
    await world.backend.store.hold(held(adopted))
    await world.backend.store.deliver(cid, control("thaw"))
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_who_lives_is_read_in_pages_oldest_first(world: World) -> None:
    cids = [await world.sleeper() for _ in range(5)]
    await world.backend.store.commit(finish(await world.woken(cids[1])))
    await world.backend.store.hold(held(await world.woken(cids[3])))
    await world.backend.store.commit(tick_end(await world.woken(cids[4]), hold=Hold.QUARANTINED))
    living = world.backend.records.living
    first, second, third = [await living(world.partition, at, 2) for at in (0, 2, 4)]
    assert [page.looked_at for page in (first, second, third)] == [2, 2, 1]
    read = [cid for page in (first, second, third) for cid, _ in page.checkpoints]
    assert read == [cids[0], cids[2], cids[3], cids[4]]
    assert first.held | second.held | third.held == {cids[3], cids[4]}
    assert dict(first.checkpoints)[cids[0]] == (await look(world, cids[0])).checkpoint
    assert (await living(world.partition, 5, 2)).looked_at == 0
    for other in range(world.partition):
        assert (await living(Partition(other), 0)).checkpoints == ()
