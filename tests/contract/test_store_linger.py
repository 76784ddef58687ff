"""The contract of lingering: a holder that says what it has is not told it again, and is roused by its own name."""

from dataclasses import replace

from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, Epoch, HolderId
from maestro.runtime.ports import ready_signal
from maestro.tick.linger import Linger, own_name
from maestro.tick.store import Adopted
from tests.contract.support import ALICE, BOB, LEASE_MS, World, control, tick_end

LISTENS_MS = 5_000
SOON_MS = 20
POOL = "default"
ANYBODY = ready_signal(POOL)


def lingering(*known: Adopted, listens_ms: int = LISTENS_MS, room: bool = False) -> Linger:
    return Linger({adopted.cid: adopted.epoch for adopted in known}, listens_ms, room)


async def slept(world: World, holder: HolderId = ALICE, pool: str = POOL) -> Adopted:
    """One that had its first tick in the hands of `holder`; whoever was roused for it has heard."""
    await world.root(pool=pool)
    adopted = await world.take(holder, pool)
    await world.commit(adopted)
    await hushed(world)
    return adopted


async def hushed(world: World) -> None:
    while await world.backend.signals.wait(ANYBODY, SOON_MS, *map(roused, (ALICE, BOB))):
        pass


async def idle(world: World, holder: HolderId = ALICE, linger: Linger | None = None) -> None:
    """The holder found nothing to adopt."""
    adopted = await world.backend.store.adopt(POOL, holder, LEASE_MS, world.partition, None, linger or lingering())
    assert adopted is None


async def again(world: World, linger: Linger | None, holder: HolderId = ALICE) -> Adopted:
    adopted = await world.backend.store.adopt(POOL, holder, LEASE_MS, world.partition, None, linger)
    assert adopted is not None
    return adopted


async def wake(world: World, cid: ContinuationId, mail: Mail | None = None) -> None:
    await world.backend.store.deliver(cid, mail or control())


def roused(holder: HolderId) -> str:
    return ready_signal(own_name(holder))


async def test_a_checkpoint_that_the_holder_has_is_not_read_again(world: World) -> None:
    first = await slept(world)
    await wake(world, first.cid)
    met = await again(world, lingering(first))
    assert (met.cid, met.rev, met.epoch, met.checkpoint) == (first.cid, 1, first.epoch + 1, b"")
    assert met.controls
    assert await world.count("adopted_known") == 1
    glance = await world.backend.records.glance(first.cid)
    assert glance is not None
    await world.backend.store.commit(tick_end(replace(met, checkpoint=glance.checkpoint)))


async def test_what_another_has_committed_meanwhile_is_shipped(world: World) -> None:
    first = await slept(world)
    await wake(world, first.cid)
    await world.commit(await world.take(BOB))
    await wake(world, first.cid)
    met = await again(world, lingering(first))
    glance = await world.backend.records.glance(first.cid)
    assert glance is not None
    assert (met.rev, met.checkpoint) == (2, glance.checkpoint)
    assert await world.count("adopted_known") == 0


async def test_what_the_holder_knows_of_others_or_of_other_epochs_is_no_answer(world: World) -> None:
    first, other = await slept(world), await slept(world)
    await wake(world, first.cid)
    stale = Linger({other.cid: other.epoch, first.cid: Epoch(first.epoch * 10 + 1)})
    assert (await again(world, stale)).checkpoint


async def test_a_try_that_ended_without_a_commit_leaves_it_known(world: World) -> None:
    """Only a commit writes a checkpoint: a hand-back, or a holder that died, changes none of it."""
    first = await slept(world)
    await wake(world, first.cid)
    lost = await world.take(BOB)
    await world.backend.leases.reclaim(BOB, world.partition)
    met = await again(world, lingering(first))
    assert (met.epoch > lost.epoch, met.checkpoint) == (True, b"")


async def test_a_commit_adopts_the_next_with_what_is_known_its_own_included(world: World) -> None:
    first = await slept(world)
    await wake(world, first.cid)
    met = await world.take()
    await wake(world, first.cid)
    commit = tick_end(met)
    linger = Linger({met.cid: met.epoch})
    done = await world.backend.store.commit(commit, (POOL, ALICE, LEASE_MS), linger)
    assert done.next is not None
    assert (done.next.cid, done.next.rev, done.next.checkpoint) == (met.cid, 2, b"")
    repeated = await world.backend.store.commit(commit, (POOL, ALICE, LEASE_MS), linger)
    assert (repeated.duplicate, repeated.next) == (True, None)


async def test_who_was_here_last_is_roused_alone_while_it_listens(world: World) -> None:
    signals = world.backend.signals
    mine, his = await slept(world), await slept(world, BOB)
    await idle(world, ALICE)
    await wake(world, mine.cid)
    assert not await signals.wait(ANYBODY, SOON_MS)
    assert await signals.wait(roused(ALICE), SOON_MS, ANYBODY)
    await wake(world, his.cid)
    assert await signals.wait(ANYBODY, SOON_MS), "who does not listen is not waited for"


async def test_who_has_no_room_is_roused_no_more_and_what_it_was_roused_for_is_everybodys(world: World) -> None:
    signals = world.backend.signals
    mine, more = await slept(world), await slept(world)
    await idle(world)
    await wake(world, mine.cid)
    await wake(world, more.cid)
    assert await signals.wait(roused(ALICE), SOON_MS)
    await again(world, lingering(mine, more))
    assert not await signals.wait(roused(ALICE), SOON_MS)
    assert await signals.wait(ANYBODY, SOON_MS), "the other one need not wait for her tick"
    third = await slept_elsewhere(world, ALICE)
    await wake(world, third)
    assert not await signals.wait(roused(ALICE), SOON_MS)


async def slept_elsewhere(world: World, holder: HolderId) -> ContinuationId:
    """One that the holder had before, while more stand ready: they are left where they are."""
    birth = await world.birth()
    assert await world.backend.store.create(birth)
    adopted = await world.backend.store.adopt(POOL, holder, LEASE_MS, world.partition, birth.cid)
    assert adopted is not None
    await world.commit(adopted)
    await hushed(world)
    return birth.cid


async def test_who_has_room_left_goes_on_listening(world: World) -> None:
    mine, more = await slept(world), await slept(world)
    await wake(world, mine.cid)
    await again(world, lingering(mine, room=True))
    await hushed(world)
    await wake(world, more.cid)
    assert await world.backend.signals.wait(roused(ALICE), SOON_MS)


async def test_the_dead_are_roused_no_more_and_what_they_were_roused_for_is_everybodys(world: World) -> None:
    signals = world.backend.signals
    mine = await slept(world)
    await idle(world)
    await wake(world, mine.cid)
    assert await world.backend.leases.reclaim(ALICE, world.partition) == 0
    assert await signals.wait(ANYBODY, SOON_MS)
    assert not await signals.wait(roused(ALICE), SOON_MS)
    await world.commit(await world.take(ALICE))
    await hushed(world)
    await wake(world, mine.cid)
    assert await signals.wait(ANYBODY, SOON_MS)


async def test_nobody_is_waited_for_longer_than_it_said_that_it_listens(world: World) -> None:
    mine = await slept(world)
    await idle(world)
    await world.advance(LISTENS_MS + 1)
    await wake(world, mine.cid)
    assert await world.backend.signals.wait(ANYBODY, SOON_MS)


async def test_another_name_of_the_same_process_is_the_same_to_whoever_rouses_it(world: World) -> None:
    """A process whose reply was lost goes on under another name for its lease, see `Host`."""
    renamed = HolderId(f"{ALICE}~1")
    mine = await slept(world, ALICE)
    await idle(world, renamed)
    await wake(world, mine.cid)
    assert await world.backend.signals.wait(roused(renamed), SOON_MS)


async def test_who_serves_another_pool_is_not_roused_for_this_one(world: World) -> None:
    mine = await slept(world)
    assert await world.backend.store.adopt("other", ALICE, LEASE_MS, world.partition, None, lingering()) is None
    await wake(world, mine.cid)
    assert await world.backend.signals.wait(ANYBODY, SOON_MS)


async def test_whoever_commits_is_roused_by_its_own_mail_and_nobody_else_is(world: World) -> None:
    """It looks itself in the same step: a burst keeps one process busy, not the whole pool."""
    signals = world.backend.signals
    mine = await slept(world)
    await wake(world, mine.cid)
    met = await world.take()
    await hushed(world)
    await wake(world, mine.cid)
    done = await world.backend.store.commit(tick_end(met), (POOL, ALICE, LEASE_MS), lingering(met))
    assert done.next is not None
    assert not await signals.wait(ANYBODY, SOON_MS)
