"""The contract of the store: births, ticks, hand-backs and ends."""

import pytest

from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Kind
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, ContinuationNotFoundError
from maestro.ids import Partition, partition_of
from tests.contract.support import (
    ALICE,
    BOB,
    LEASE_MS,
    World,
    batch_of,
    child_birth,
    control,
    finish,
    happening,
    intent,
    letter,
    money,
    tick_end,
)


async def test_a_birth_is_ready_with_its_start_mail_and_no_history(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    assert (adopted.cid, adopted.epoch, adopted.rev, adopted.tries) == (cid, 1, 0, 1)
    assert [mail.kind for mail in adopted.mail] == [Kind.START]
    assert (adopted.controls, adopted.batch, dict(adopted.journal), adopted.last_error) == ((), None, {}, None)
    assert adopted.ledger.free == money(usd=100)
    assert adopted.ready_since_ms <= adopted.now_ms


async def test_an_adopted_one_is_in_its_holders_hands_only(world: World) -> None:
    cid = await world.root()
    await world.take(ALICE)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.holder, glance.ready_since_ms, glance.tries) == (ALICE, None, 1)
    assert await world.backend.store.adopt("default", BOB, LEASE_MS, world.partition) is None


async def test_an_empty_pool_gives_nobody(world: World) -> None:
    assert await world.backend.store.adopt("default", ALICE, LEASE_MS, world.partition) is None


async def test_pools_are_apart(world: World) -> None:
    cid = await world.root(pool="swarm")
    assert await world.backend.store.adopt("default", ALICE, LEASE_MS, world.partition) is None
    assert (await world.take(pool="swarm")).cid == cid


async def test_partitions_are_apart(world: World) -> None:
    await world.root()
    for other in range(world.backend.partitions - 1):
        assert await world.backend.store.adopt("default", ALICE, LEASE_MS, Partition(other)) is None
    await world.take()


async def test_who_has_been_ready_for_longest_is_adopted_first(world: World) -> None:
    first = await world.root()
    await world.advance(10)
    second = await world.root()
    await world.advance(10)
    await world.backend.store.deliver(first, letter())  # already ready: keeps its place
    assert [(await world.take()).cid, (await world.take()).cid] == [first, second]


async def test_a_commit_ends_the_tick_and_lets_go(world: World) -> None:
    cid = await world.root()
    committed = await world.commit(await world.take())
    assert (committed.rev, committed.duplicate, committed.next) == (1, False, None)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.rev, glance.holder, glance.tries, glance.error, glance.unread) == (1, None, 0, None, 0)
    assert not await world.is_ready(cid)
    assert len(await world.backend.records.log(cid)) == 2


async def test_each_adoption_has_a_fresh_epoch_and_the_checkpoint_of_the_last_commit(world: World) -> None:
    cid = await world.sleeper()
    adopted = await world.woken(cid)
    assert (adopted.epoch, adopted.rev) == (2, 1)
    end = tick_end(adopted)
    await world.backend.store.commit(end)
    assert (await world.woken(cid)).checkpoint == end.checkpoint


async def test_a_commit_may_adopt_the_next_in_the_same_step(world: World) -> None:
    first = await world.root()
    await world.advance(10)
    second = await world.root()
    adopted = await world.take()
    committed = await world.backend.store.commit(tick_end(adopted), ("default", ALICE, LEASE_MS))
    assert committed.next is not None
    assert (adopted.cid, committed.next.cid) == (first, second)
    last = await world.backend.store.commit(tick_end(committed.next), ("default", ALICE, LEASE_MS))
    assert last.next is None


async def test_a_child_is_born_with_the_commit(world: World) -> None:
    parent = await world.root(money(usd=100))
    adopted = await world.take()
    await world.advance(10)
    birth = child_birth(adopted, grant=money(usd=30), pool="swarm")
    await world.commit(adopted, births=(birth,))
    child = await world.take(pool="swarm")
    assert (child.cid, child.rev, [mail.kind for mail in child.mail]) == (birth.cid, 0, [Kind.START])
    assert child.ledger.free == money(usd=30)
    assert (await world.ledger(parent)).account("usd").lent == 30
    assert list(await world.backend.records.ids(world.partition)) == [parent, birth.cid]


async def test_an_ended_one_leaves_nothing_that_could_wake_it(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    due = {"poll": adopted.now_ms + 1_000}
    await world.commit(adopted, timers=due, subscriptions=(("arxiv.>", "i1", None), ("arxiv.*", "i2", 0.5)))
    adopted = await world.woken(cid)
    await world.backend.store.deliver(cid, letter())
    ended = finish(
        adopted, timers_cancelled=("poll",), unsubscriptions=(("arxiv.>", "i1"), ("arxiv.*", "i2"))
    )  # a terminal commit names what it cancels: the fold sees to it
    await world.backend.store.commit(ended)
    assert not await world.is_ready(cid)
    assert await world.unread(cid) == 0
    await world.advance(2_000)
    assert (await world.backend.timers.fire(world.partition)).count == 0
    assert (await world.backend.router.route(happening("arxiv.cs"), world.partition)).matched == 0
    with pytest.raises(ContinuationAlreadyTerminalError):
        await world.backend.store.deliver(cid, control())


async def test_a_name_belongs_to_one_living_continuation(world: World) -> None:
    cid = await world.root(name="radar")
    assert await world.backend.records.named("radar") == cid
    with pytest.raises(Conflict):
        await world.backend.store.create(await world.birth(name="radar"))
    adopted = await world.take(partition=partition_of(cid))
    await world.backend.store.commit(finish(adopted))
    assert await world.backend.records.named("radar") is None
    heir = await world.root(name="radar")
    assert await world.backend.records.named("radar") == heir


async def test_a_refused_name_leaves_no_trace(world: World) -> None:
    await world.root(name="radar")
    refused = await world.birth(name="radar")
    with pytest.raises(Conflict):
        await world.backend.store.create(refused)
    assert await world.backend.records.glance(refused.cid) is None


async def test_released_it_is_ready_again_and_the_try_was_counted(world: World) -> None:
    await world.root()
    adopted = await world.take()
    await world.backend.store.release(adopted.cid, adopted.epoch, 0, "KeyError: 'title'", counts=True)
    again = await world.take(BOB)
    assert (again.cid, again.epoch, again.tries, again.last_error) == (adopted.cid, 2, 2, "KeyError: 'title'")
    assert again.mail == adopted.mail


async def test_a_try_that_does_not_count_is_taken_back(world: World) -> None:
    await world.root()
    adopted = await world.take()
    await world.backend.store.release(adopted.cid, adopted.epoch, 0, None, counts=False)
    assert (await world.take()).tries == 1


async def test_a_commit_forgets_the_tries_and_the_error(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.release(cid, adopted.epoch, 0, "boom", counts=True)
    await world.commit(await world.take())
    again = await world.woken(cid)
    assert (again.tries, again.last_error) == (1, None)


async def test_a_release_keeps_good_answers_and_drops_failed_ones(world: World) -> None:
    await world.root()
    adopted = await world.take()
    good, bad, open_ = intent(0), intent(1), intent(2)
    for entry in (good, bad, open_):
        await world.backend.store.record(adopted.cid, adopted.epoch, entry, batch_of(adopted))
    settle = world.backend.journals.settle
    await settle(adopted.cid, 0, good.call_id, {"text": "yes"}, failed=False, charge=money())
    await settle(adopted.cid, 1, bad.call_id, {"code": "rate_limited"}, failed=True, charge=money())
    await world.backend.store.release(adopted.cid, adopted.epoch, 0, "x", counts=True)
    journal = (await world.take()).journal
    assert sorted(journal) == [0, 2]
    assert (journal[0].answered, journal[0].answer) == (True, {"text": "yes"})
    assert not journal[2].answered


async def test_a_back_off_ends_when_its_time_has_come_without_any_mail(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.release(cid, adopted.epoch, 60_000, "no provider", counts=False)
    assert not await world.is_ready(cid)
    assert (await world.backend.timers.fire(world.partition)).count == 0
    await world.advance(60_000)
    assert (await world.backend.timers.fire(world.partition)).count == 1
    again = await world.take()
    assert again.mail == adopted.mail


async def test_new_mail_that_wakes_ends_a_back_off_early_and_for_good(world: World) -> None:
    cid = await world.sleeper()
    adopted = await world.woken(cid)
    await world.backend.store.release(cid, adopted.epoch, 60_000, "no provider", counts=True)
    await world.backend.store.deliver(cid, letter())
    await world.commit(await world.take())
    await world.advance(120_000)
    await world.backend.timers.fire(world.partition)
    assert not await world.is_ready(cid), "a back-off that is over woke it once more, for nothing"


async def test_control_mail_that_came_during_the_try_ends_its_back_off_at_once(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.deliver(cid, control("kill"))
    await world.backend.store.release(cid, adopted.epoch, 60_000, "boom", counts=True)
    assert await world.is_ready(cid)


async def test_a_back_off_holds_although_the_try_was_begun_by_control_mail(world: World) -> None:
    cid = await world.sleeper()
    adopted = await world.woken(cid)
    assert adopted.controls
    await world.backend.store.release(cid, adopted.epoch, 60_000, "boom", counts=True)
    assert not await world.is_ready(cid)


async def test_a_frozen_one_is_not_adopted_and_a_thawed_one_is(world: World) -> None:
    cid = await world.root()
    await world.backend.steering.freeze(cid, True)
    await world.backend.steering.freeze(cid, True)
    assert await world.backend.store.adopt("default", ALICE, LEASE_MS, world.partition) is None
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert glance.frozen
    await world.backend.steering.freeze(cid, False)
    assert (await world.take()).cid == cid


async def test_thawing_one_that_nothing_came_for_wakes_nobody(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.steering.freeze(cid, True)
    await world.backend.steering.freeze(cid, False)
    assert not await world.is_ready(cid)


async def test_one_that_is_frozen_in_mid_tick_may_end_the_tick_and_is_not_ready_after(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.steering.freeze(cid, True)
    await world.backend.store.deliver(cid, letter())
    await world.commit(adopted)
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_one_that_is_handed_back_while_frozen_is_ready_when_thawed(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.steering.freeze(cid, True)
    await world.backend.store.release(cid, adopted.epoch, 0, None, counts=False)
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_nobody_can_freeze_or_write_to_a_stranger(world: World) -> None:
    stranger = (await world.birth()).cid
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.steering.freeze(stranger, True)
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.store.deliver(stranger, letter())


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
async def test_every_terminal_status_ends_it(world: World, status: Status) -> None:
    await world.root()
    adopted = await world.take()
    await world.backend.store.deliver(adopted.cid, letter())
    await world.backend.store.commit(tick_end(adopted, status=status))
    assert not await world.is_ready(adopted.cid)


async def test_a_held_one_stays_with_its_mail_until_somebody_orders_otherwise(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.commit(tick_end(adopted, hold=Hold.QUARANTINED, take=()))
    await world.backend.store.deliver(cid, letter())
    assert not await world.is_ready(cid)
    assert await world.unread(cid) == 2
    await world.backend.store.deliver(cid, control("thaw"))
    again = await world.take()
    await world.backend.store.commit(tick_end(again, take=()))
    assert await world.is_ready(cid), "the mail that came during the hold wakes it now"
