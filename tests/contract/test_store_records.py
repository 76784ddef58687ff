"""The contract of the store: what people and their tools can read of it."""

import orjson

from maestro.ids import Partition
from tests.contract.support import BOB, World, control, finish, letter, money


async def test_the_log_is_read_in_slices_with_the_times_of_its_commits(world: World) -> None:
    cid = await world.sleeper()
    await world.advance(1_000)
    for _ in range(3):
        await world.commit(await world.woken(cid))
    log = list(await world.backend.records.log(cid))
    assert len(log) == 5
    assert [at for at, _ in log] == sorted(at for at, _ in log)
    assert log[2][0] - log[1][0] >= 1_000
    read = world.backend.records.log
    assert list(await read(cid, 1, 2)) == log[1:3]
    assert list(await read(cid, -2)) == log[-2:]
    assert list(await read(cid, 0, -2)) == log[:-1]
    assert list(await read(cid, 7)) == []


async def test_findings_are_kept_under_the_root_in_their_order(world: World) -> None:
    parent, (child,) = await world.family(money(), money())
    await world.commit(await world.woken(child), root=parent, findings=(b'{"f":1}', b'{"f":2}'))
    await world.commit(await world.woken(parent), findings=(b'{"f":3}',))
    assert list(await world.backend.records.findings(parent)) == [b'{"f":1}', b'{"f":2}', b'{"f":3}']
    assert list(await world.backend.records.findings(child)) == []


async def test_what_people_are_asked_stands_until_the_next_commit(world: World) -> None:
    cid = await world.sleeper(waiting_on_person=b'{"question":"go on?"}')
    waiting = world.backend.records.waiting
    assert dict(await waiting(world.partition)) == {cid: b'{"question":"go on?"}'}
    await world.commit(await world.woken(cid))
    assert dict(await waiting(world.partition)) == {}


async def test_the_feed_tells_every_fact_once_and_in_order(world: World) -> None:
    cid = await world.sleeper(facts=(b'{"type":"a"}', b'{"type":"b"}'))
    feed = world.backend.records.feed
    facts = list(await feed(world.partition))
    bodies = [orjson.loads(fact.body) for fact in facts]
    assert bodies[0] == {"type": "born", "cid": cid, "parent": None, "root": cid, "behaviour": "scout"}
    assert [body["type"] for body in bodies] == ["born", "a", "b"]
    assert list(await feed(world.partition, facts[0].position, 1)) == facts[1:2]
    assert list(await feed(world.partition, facts[-1].position)) == []
    await world.commit(await world.woken(cid), facts=(b'{"type":"c"}',))
    assert [fact.body for fact in await feed(world.partition, facts[-1].position)] == [b'{"type":"c"}']


async def test_the_counts_tell_what_happened_and_what_is_waiting(world: World) -> None:
    cid = await world.sleeper(timers={"t": await world.now()}, outbox=())
    await world.backend.store.deliver(cid, letter())
    await world.advance(100)
    counts = await world.backend.records.counts(world.partition)
    assert {name: counts.get(name, 0) for name in ("created", "adopted", "committed", "fenced")} == {
        "created": 1, "adopted": 1, "committed": 1, "fenced": 0,
    }  # fmt: skip
    assert (counts["ready:default"], counts["timers"], counts["outbox"]) == (1, 1, 0)
    assert counts["ready_age_ms:default"] >= 100
    assert (counts["continuations"], counts["status:pending"]) == (1, 1)
    await world.backend.store.commit(finish(await world.take()))
    counts = await world.backend.records.counts(world.partition)
    assert (counts["status:pending"], counts["status:completed"], counts["ready:default"]) == (0, 1, 0)


async def test_a_glance_tells_a_continuation_as_it_stands(world: World) -> None:
    cid = await world.sleeper(money(usd=5), wake=("reply:q-1", "message"))
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.cid, glance.epoch, glance.rev, glance.tries, glance.holder) == (cid, 1, 1, 0, None)
    assert (glance.wake_keys, glance.unread, glance.error, glance.frozen) == (("reply:q-1", "message"), 0, None, False)
    assert glance.ledger.free == money(usd=5)
    await world.backend.store.deliver(cid, letter())
    await world.backend.store.deliver(cid, control())
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert glance.unread == 2
    assert glance.ready_since_ms is not None
    adopted = await world.take()
    await world.backend.store.release(cid, adopted.epoch, 5_000, "KeyError: 'title'", counts=True)
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.error, glance.tries) == ("KeyError: 'title'", 1)


async def test_nobody_is_nobody(world: World) -> None:
    stranger = (await world.birth()).cid
    assert await world.backend.records.glance(stranger) is None
    assert await world.backend.records.named("nobody") is None
    assert list(await world.backend.records.findings(stranger)) == []


async def test_partitions_show_their_own_only(world: World) -> None:
    cid = await world.sleeper(facts=(b"{}",))
    for number in range(world.backend.partitions):
        expected = [cid] if number == world.partition else []
        assert list(await world.backend.records.ids(Partition(number))) == expected
        assert bool(await world.backend.records.feed(Partition(number))) == bool(expected)


async def test_counts_tell_who_holds_how_many_and_what_room_a_pool_has(world: World) -> None:
    await world.root()
    await world.root()
    await world.take(BOB)
    await world.take(BOB)
    assert await world.count(f"held:{BOB}") == 2
    await world.backend.leases.reclaim(BOB, world.partition)
    assert await world.count(f"held:{BOB}") == 0
    await world.backend.leases.tell_room("default", 3, 8)
    counts = await world.backend.records.counts(Partition(0))
    assert (counts["pool_places:default"], counts["pool_most:default"]) == (3, 8)
