"""The contract of the store: nodes that are drained, and continuations pinned to one."""

import orjson
import pytest

from maestro.errors import ContinuationAlreadyTerminalError, ContinuationNotFoundError
from maestro.ids import ContinuationId, HolderId, Partition, TimeMs, new_continuation_id
from maestro.runtime.nodes import NODES, Seen, check_node, pinned_pool, placed
from maestro.runtime.ports import PLACE
from maestro.tick.records import Pin
from tests.contract.support import World, finish, letter

LEASE_MS = 10_000
THERE = HolderId("continuation/x#1")


async def adopt(world: World, pool: str) -> ContinuationId | None:
    adopted = await world.backend.store.adopt(pool, THERE, LEASE_MS, world.partition)
    if adopted is None:
        return None
    await world.commit(adopted)
    return adopted.cid


async def ready_since(world: World, cid: ContinuationId) -> TimeMs | None:
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    return glance.ready_since_ms


async def pin_of(world: World, cid: ContinuationId) -> Pin | None:
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    return glance.pin


async def test_a_drain_is_known_with_its_reason_until_it_is_taken_back(world: World) -> None:
    nodes = world.backend.nodes
    assert await nodes.drain("node-2", "ann", "its fan is broken")
    assert not await nodes.drain("node-2", "bob", "later")
    assert await nodes.drain("10.0.0.7", "ann", "")
    draining = await nodes.draining()
    assert {name: (one.by, one.reason) for name, one in draining.items()} == {
        "node-2": ("ann", "its fan is broken"), "10.0.0.7": ("ann", ""),
    }  # fmt: skip
    assert 0 < draining["node-2"].at_ms <= await world.now()
    assert await nodes.undrain("node-2")
    assert not await nodes.undrain("node-2")
    assert set(await nodes.draining()) == {"10.0.0.7"}


async def test_who_carries_it_out_is_roused_by_each_change_and_the_feed_tells_of_it(world: World) -> None:
    await world.backend.nodes.drain("node-2", "ann", "why not")
    assert await world.backend.signals.wait(NODES, 1_000)
    await world.backend.nodes.undrain("node-2")
    assert await world.backend.signals.wait(NODES, 1_000)
    told = [orjson.loads(fact.body) for fact in await world.backend.records.feed(Partition(0))]
    assert [(fact["type"], fact["node"]) for fact in told if "node" in fact] == [
        ("node_draining", "node-2"), ("node_undrained", "node-2"),
    ]  # fmt: skip


async def test_the_latest_census_is_what_was_last_seen(world: World) -> None:
    nodes = world.backend.nodes
    assert await nodes.census() is None
    one = Seen("node-1", "ab12", True, {"zone": "private"}, None, ("pool/default/1",))
    await nodes.see([Seen("node-9", "ff", True)])
    await nodes.see([one, Seen("node-2", "cd34", True, leaving="Ray drains it"), Seen("node-3", "ef56", False)])
    census = await nodes.census()
    assert census is not None
    assert census.takers == (one,)
    assert [node.name for node in census.nodes] == ["node-1", "node-2", "node-3"]
    assert 0 < census.at_ms <= await world.now()


async def test_a_pinned_sleeper_is_adopted_at_its_node_once_and_then_anywhere(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.nodes.pin(cid, "node-2", stays=False)
    assert await pin_of(world, cid) == Pin("node-2", stays=False, home="default")
    await world.backend.store.deliver(cid, letter())
    assert await adopt(world, "default") is None
    assert await adopt(world, pinned_pool(cid, "node-3")) is None
    assert await adopt(world, pinned_pool(cid, "node-2")) == cid
    assert await pin_of(world, cid) is None
    await world.backend.store.deliver(cid, letter())
    assert await adopt(world, "default") == cid


async def test_a_pin_that_stays_holds_until_it_is_taken_out(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.nodes.pin(cid, "node-2", stays=True)
    for _ in range(2):
        await world.backend.store.deliver(cid, letter())
        assert await adopt(world, "default") is None
        assert await adopt(world, pinned_pool(cid, "node-2")) == cid
    assert await world.backend.nodes.unpin(cid)
    assert not await world.backend.nodes.unpin(cid)
    await world.backend.store.deliver(cid, letter())
    assert await adopt(world, pinned_pool(cid, "node-2")) is None
    assert await adopt(world, "default") == cid


async def test_one_that_is_ready_changes_its_pool_at_its_place_in_the_order(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.store.deliver(cid, letter())
    before = await ready_since(world, cid)
    await world.advance(5)
    await world.backend.nodes.pin(cid, "node-2", stays=False)
    assert await world.backend.signals.wait(PLACE, 1_000)
    assert await ready_since(world, cid) == before
    await world.backend.nodes.pin(cid, "node-3", stays=True)
    assert await pin_of(world, cid) == Pin("node-3", stays=True, home="default")
    assert await adopt(world, pinned_pool(cid, "node-2")) is None
    assert await world.backend.nodes.unpin(cid)
    assert await ready_since(world, cid) == before
    assert await adopt(world, "default") == cid


async def test_a_tick_under_way_is_not_disturbed_and_the_next_one_is_elsewhere(world: World) -> None:
    cid = await world.sleeper()
    adopted = await world.woken(cid)
    await world.backend.nodes.pin(cid, "node-2", stays=False)
    await world.commit(adopted)
    assert await pin_of(world, cid) == Pin("node-2", stays=False, home="default")
    await world.backend.store.deliver(cid, letter())
    assert await adopt(world, "default") is None
    assert await adopt(world, pinned_pool(cid, "node-2")) == cid


async def test_nobody_who_is_unknown_or_done_can_be_pinned(world: World) -> None:
    cid = await world.sleeper()
    nobody = new_continuation_id(await world.now(), world.partition)
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.nodes.pin(nobody, "node-2", stays=False)
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.nodes.unpin(nobody)
    await world.backend.store.commit(finish(await world.woken(cid)))
    with pytest.raises(ContinuationAlreadyTerminalError):
        await world.backend.nodes.pin(cid, "node-2", stays=False)
    assert not await world.backend.nodes.unpin(cid)


async def test_a_pool_at_a_node_names_both() -> None:
    cid = ContinuationId("c0-x")
    assert placed(pinned_pool(cid, "10.0.0.7")) == (cid, "10.0.0.7")
    assert placed(f"dedicated-{cid}") == (cid, None)
    assert check_node("node-2") == "node-2"
