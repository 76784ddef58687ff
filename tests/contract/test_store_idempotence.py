"""The contract of the store: every step may be repeated after a lost reply, and happens once."""

from dataclasses import replace

import pytest
from pydantic import JsonValue

from maestro.errors import Fenced
from maestro.ids import CallId, partition_of
from tests.contract.support import (
    ALICE,
    BOB,
    LEASE_MS,
    World,
    batch_of,
    child_birth,
    intent,
    letter,
    money,
    tick_end,
)


async def test_a_birth_repeated_is_one_birth(world: World) -> None:
    birth = await world.birth(money(usd=100), name="radar")
    create = world.backend.store.create
    assert (await create(birth), await create(birth)) == (True, False)
    adopted = await world.take(partition=partition_of(birth.cid))
    await world.commit(adopted)
    assert not await create(birth)
    glance = await world.backend.records.glance(birth.cid)
    assert glance is not None
    assert (glance.rev, glance.unread, glance.ledger.free) == (1, 0, money(usd=100))


async def test_a_commit_repeated_is_one_commit(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    birth = child_birth(adopted, grant=money(usd=30))
    end = tick_end(
        adopted, births=(birth,), family_mail=((birth.cid, letter()),), findings=(b"{}",), facts=(b'{"type":"x"}',)
    )
    first = await world.backend.store.commit(end)
    facts = await world.backend.records.feed(world.partition)
    again = await world.backend.store.commit(end)
    assert ((first.rev, first.duplicate), (again.rev, again.duplicate)) == ((1, False), (1, True))
    assert (await world.ledger(cid)).account("usd").lent == 30
    assert await world.unread(birth.cid) == 2
    assert list(await world.backend.records.findings(cid)) == [b"{}"]
    assert list(await world.backend.records.feed(world.partition)) == list(facts)
    assert (await world.count("fenced"), await world.count("committed")) == (0, 1)


async def test_a_repeated_commit_still_adopts_the_next(world: World) -> None:
    await world.root()
    await world.advance(10)
    adopted = await world.take()
    end = tick_end(adopted)
    await world.backend.store.commit(end)
    second = await world.root()
    again = await world.backend.store.commit(end, ("default", ALICE, LEASE_MS))
    assert again.duplicate
    assert again.next is not None
    assert again.next.cid == second


async def test_a_commit_is_known_again_while_another_holds_the_continuation(world: World) -> None:
    cid = await world.root()
    end = tick_end(await world.take(ALICE))
    await world.backend.store.commit(end)
    fresh = await world.woken(cid, BOB)
    assert (await world.backend.store.commit(end)).duplicate
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert glance.holder == BOB, "the repetition changed nothing"
    assert (await world.commit(fresh)).rev == 2


async def test_the_same_revision_by_another_epoch_is_no_repetition(world: World) -> None:
    await world.root()
    stale = await world.take(ALICE)
    await world.backend.leases.reclaim(ALICE, world.partition)
    await world.commit(await world.take(BOB))
    with pytest.raises(Fenced):
        await world.commit(stale)


async def test_a_commit_before_the_last_one_is_fenced(world: World) -> None:
    cid = await world.root()
    old = tick_end(await world.take())
    await world.backend.store.commit(old)
    await world.commit(await world.woken(cid))
    with pytest.raises(Fenced):
        await world.backend.store.commit(old)


async def test_an_intent_repeated_reserves_once(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry, batch = intent(0, money(usd=60)), batch_of(adopted)
    record = world.backend.store.record
    assert await record(cid, adopted.epoch, entry, batch) == entry
    assert await record(cid, adopted.epoch, entry, batch) == entry
    assert (await world.ledger(cid)).free == money(usd=40)


async def test_an_intent_at_a_taken_place_is_answered_with_what_stands_there(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    record = world.backend.store.record
    await record(cid, adopted.epoch, entry, batch_of(adopted))
    answer: JsonValue = {"text": "yes", "parts": [1, None, {"deep": [True, 0.5]}]}
    await world.backend.journals.settle(cid, 0, entry.call_id, answer, failed=False, charge=money(usd=1))
    other = replace(intent(0, money(usd=10**6)), key="another question")
    stands = replace(entry, answer=answer, answered=True, charge=money(usd=1))
    assert await record(cid, adopted.epoch, other, batch_of(adopted)) == stands
    assert (await world.ledger(cid)).free == money(usd=99)


async def test_the_batch_of_the_first_effect_stays(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    first = batch_of(adopted)
    await world.backend.store.record(cid, adopted.epoch, intent(0), first)
    await world.backend.store.deliver(cid, letter())
    await world.backend.store.release(cid, adopted.epoch, 0, None, counts=True)
    await world.advance(1_000)
    again = await world.take()
    assert again.batch == first
    assert len(again.mail) == 2
    await world.backend.store.record(cid, again.epoch, intent(1), batch_of(again))
    await world.backend.store.release(cid, again.epoch, 0, None, counts=True)
    last = await world.take()
    assert last.batch == first
    await world.commit(last)
    assert (await world.woken(cid)).batch is None


async def test_the_first_answer_stays(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    settle = world.backend.journals.settle
    first = await settle(cid, 0, entry.call_id, "first", failed=False, charge=money(usd=10))
    second = await settle(cid, 0, entry.call_id, "second", failed=False, charge=money(usd=20))
    failed = await settle(cid, 0, entry.call_id, "broken", failed=True, charge=money(usd=30))
    assert first == second == failed
    assert first is not None
    assert first.answer == "first"
    assert (await world.ledger(cid)).account("usd").spent == 10


async def test_a_failure_repeated_is_charged_once(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    for _ in range(2):
        await world.backend.journals.settle(cid, 0, entry.call_id, "out", failed=True, charge=money(usd=10))
    assert (await world.ledger(cid)).account("usd").spent == 10


async def test_an_answer_to_another_call_than_the_one_at_its_place_changes_nothing(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    settle = world.backend.journals.settle
    assert await settle(cid, 0, CallId("a stranger"), "x", failed=False, charge=money(usd=5)) is None
    assert await settle(cid, 9, CallId("nobody"), "x", failed=False, charge=money(usd=5)) is None
    assert (await world.ledger(cid)).free == money(usd=40)
    assert await world.backend.journals.answer_of(cid, entry.call_id) == entry


async def test_an_answer_is_found_by_its_call(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    one, other = intent(0), intent(1)
    for entry in (one, other):
        await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.backend.journals.settle(cid, 1, other.call_id, ["b"], failed=False, charge=money())
    found = await world.backend.journals.answer_of(cid, other.call_id)
    assert found is not None
    assert (found.ordinal, found.answer) == (1, ["b"])
    assert await world.backend.journals.answer_of(cid, CallId("nobody")) is None
