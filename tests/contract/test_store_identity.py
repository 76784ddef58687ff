"""The contract of the port Identity: which store it is, how far it has come, and how a new incarnation begins."""

from dataclasses import replace

import pytest

from maestro.adapters.memory.state import EPOCHS_OF_ONE
from maestro.errors import Fenced, StoreRefused
from maestro.ids import CallId, Epoch, HolderId
from maestro.runtime.landmarks import NOTE
from maestro.tick.store import Batch, JournalEntry
from tests.contract.support import ALICE, BOB, LEASE_MS, World, control, tick_end

ENTRY = JournalEntry(1, "model", "hash", CallId("call-1"))


async def begin(world: World, incarnation: int = 1) -> int:
    """A new incarnation of the same store; returns how many were in somebody's hands."""
    store = (await world.backend.identity.read()).store or ""
    return await world.backend.identity.incarnate(store, incarnation, NOTE, b'{"type":"store_went_back"}')


async def test_it_tells_how_far_it_has_come(world: World) -> None:
    before = await world.backend.identity.read()
    assert before.store
    assert (before.incarnation, before.committed, before.shut) == (0, 0, False)
    await world.sleeper()
    await world.advance(1_000)
    after = await world.backend.identity.read()
    assert (after.store, after.committed, after.server) == (before.store, 1, before.server)
    assert after.writes >= before.writes + 3, "born, adopted, committed"
    assert after.told_ms >= before.told_ms + 1_000


async def test_whoever_held_something_is_fenced_and_what_it_held_is_ready_with_the_reason(world: World) -> None:
    cid = await world.root()
    stale = await world.take(ALICE)
    assert await begin(world) == 1
    with pytest.raises(Fenced):
        await world.commit(stale)
    with pytest.raises(Fenced):
        await world.backend.store.release(cid, stale.epoch, 0, "late", counts=False)
    with pytest.raises(Fenced):
        await world.backend.store.record(cid, stale.epoch, ENTRY, Batch((), stale.now_ms))
    taken = await world.take(BOB)
    assert (taken.cid, taken.last_error) == (cid, NOTE)
    await world.commit(taken)


async def test_no_epoch_of_what_was_lost_is_ever_given_out_again(world: World) -> None:
    """Somebody may hold any epoch of the lost time, which the store does not know of."""
    cid = await world.sleeper()
    await begin(world)
    taken = await world.woken(cid, BOB)
    assert taken.epoch > EPOCHS_OF_ONE
    for lost in (1, 2, 3, 1_000):
        with pytest.raises(Fenced):
            await world.backend.store.commit(replace(tick_end(taken), epoch=Epoch(lost)))
    await world.commit(taken)
    await begin(world, 2)
    assert (await world.woken(cid)).epoch > 2 * EPOCHS_OF_ONE


async def test_claims_rise_too(world: World) -> None:
    claims = world.backend.claims
    lost = await claims.take("root", ALICE, "here", LEASE_MS)
    await begin(world)
    taken = await claims.take("root", BOB, "here", LEASE_MS)
    assert taken.epoch > EPOCHS_OF_ONE
    assert not await claims.renew("root", lost.epoch + 1, LEASE_MS)
    assert await claims.renew("root", taken.epoch, LEASE_MS)


async def test_an_incarnation_begins_once(world: World) -> None:
    await begin(world)
    await world.root()
    taken = await world.take(HolderId("bob"))
    assert await begin(world) == 0
    await world.commit(taken)


async def test_shut_it_refuses_every_write_and_is_read(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.store.deliver(cid, control())
    taken = await world.take()
    store, unread = world.backend.store, await world.unread(cid)
    await world.backend.identity.shut()
    assert (await world.backend.identity.read()).shut
    for write in (
        store.deliver(cid, control()),
        store.adopt("default", ALICE, LEASE_MS, world.partition),
        store.commit(tick_end(taken)),
        store.record(cid, taken.epoch, ENTRY, Batch((), taken.now_ms)),
        store.create(await world.birth()),
        world.backend.timers.fire(world.partition),
        world.backend.claims.take("root", ALICE, "here", LEASE_MS),
    ):
        with pytest.raises(StoreRefused, match="accept-older-store"):
            await write
    assert await world.unread(cid) == unread
    assert await world.backend.leases.expired(world.partition) == []
    await begin(world)
    assert not (await world.backend.identity.read()).shut
    await world.commit(await world.take())
