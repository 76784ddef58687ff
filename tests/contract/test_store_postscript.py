"""The contract of the store: one certain continuation is adopted, and a word after the end."""

import pytest

from maestro.errors import ContinuationNotFoundError, ContinuationStateError, Fenced
from maestro.ids import ContinuationId, Rev
from maestro.tick.postscript import noted
from maestro.tick.store import Postscript
from tests.contract.support import ALICE, BOB, LEASE_MS, SEAL, World, finish, letter, tick_end


async def _postscript(world: World, cid: ContinuationId, state: str = "delivered") -> Postscript:
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    return noted(glance, {"word": state}, "a word", await world.now(), SEAL, world.backend.tenant)


async def test_one_certain_continuation_is_adopted_and_no_other(world: World) -> None:
    first = await world.root()
    await world.advance(10)
    second = await world.root()
    store = world.backend.store
    adopted = await store.adopt("default", ALICE, LEASE_MS, world.partition, second)
    assert adopted is not None
    assert (adopted.cid, adopted.tries) == (second, 1)
    assert await store.adopt("default", BOB, LEASE_MS, world.partition, second) is None, "it is in hand"
    assert await store.adopt("swarm", BOB, LEASE_MS, world.partition, first) is None, "it is in another pool"
    assert (await world.take(BOB)).cid == first


async def test_one_that_is_not_ready_or_stands_still_is_not_adopted_either(world: World) -> None:
    cid, store = await world.sleeper(wake=("reply:q",)), world.backend.store
    assert await store.adopt("default", ALICE, LEASE_MS, world.partition, cid) is None
    await world.backend.steering.freeze(cid, True)
    await store.deliver(cid, letter(correlation=None))
    assert await store.adopt("default", ALICE, LEASE_MS, world.partition, cid) is None
    other = await world.root()
    await world.backend.steering.brake(True)
    assert await store.adopt("default", ALICE, LEASE_MS, world.partition, other) is None
    await world.backend.steering.brake(False)
    assert await store.adopt("default", ALICE, LEASE_MS, world.partition, other) is not None


async def test_a_word_after_the_end_goes_on_in_the_log_and_changes_nothing_else(world: World) -> None:
    cid = await world.root()
    await world.backend.store.commit(finish(await world.take()))
    before = await world.backend.records.glance(cid)
    assert await world.backend.store.postscript(await _postscript(world, cid))
    after = await world.backend.records.glance(cid)
    assert before is not None
    assert after is not None
    assert (after.rev, after.epoch, after.holder, after.ready_since_ms) == (before.rev + 1, before.epoch, None, None)
    assert len(await world.backend.records.log(cid)) == 3
    assert b'"word":"delivered"' in after.checkpoint


async def test_of_two_words_at_once_one_is_refused_and_nothing_of_it_is_kept(world: World) -> None:
    cid = await world.root()
    await world.backend.store.commit(finish(await world.take()))
    one, two = await _postscript(world, cid, "one"), await _postscript(world, cid, "two")
    assert [await world.backend.store.postscript(word) for word in (one, two)] == [True, False]
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert glance.checkpoint == one.checkpoint


async def test_what_has_not_ended_takes_no_word_after_the_end(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    plain = tick_end(adopted)
    early = Postscript(cid, Rev(1), plain.checkpoint, plain.record)
    with pytest.raises(ContinuationStateError):
        await world.backend.store.postscript(early)
    with pytest.raises(ContinuationStateError):
        await _postscript(world, cid)
    nobody = ContinuationId("0" * 22 + f"-{world.partition}")
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.store.postscript(Postscript(nobody, Rev(1), b"", b""))
    await world.backend.store.commit(plain)


async def test_a_word_after_the_end_revives_no_epoch(world: World) -> None:
    await world.root()
    adopted = await world.take()
    await world.backend.store.commit(finish(adopted))
    await world.backend.store.postscript(await _postscript(world, adopted.cid))
    with pytest.raises(Fenced):
        await world.backend.store.commit(finish(adopted))
