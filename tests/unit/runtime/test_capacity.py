"""How full a pool is, as the store's counts and the keeper's word tell it."""

from maestro.adapters.memory.backend import MemoryBackend
from maestro.ids import Partition
from maestro.runtime.capacity import Room, counted, demand_of, pools_told, room_in, room_of, waiting_alone
from maestro.runtime.pooling import Demand

COUNTS = {
    "held:pool/default/1#a": 1,
    "held:pool/default/2#b~1": 2,
    "held:pool/defaults/1#c": 5,
    "held:continuation/x#d": 1,
    "ready:default": 7,
    "ready_age_ms:default": 900,
    "pool_places:default": 3,
    "pool_most:default": 8,
}


def test_awake_in_a_pool_are_those_that_its_members_hold() -> None:
    assert room_of(COUNTS, "default") == Room(3, 3, 8)
    assert demand_of(COUNTS, "default") == Demand(7, 900, 3)
    assert pools_told(COUNTS) == {"default"}


def test_how_full_it_is_in_words() -> None:
    assert Room(3, 3, 8).told() == "3 of 3 busy, it may grow to 8"
    assert Room(2, 3, 3).told() == "2 of 3 busy"
    assert Room(0).told() == "nobody keeps a pool of that name"


def test_where_no_node_has_room_it_is_said_what_is_waited_for() -> None:
    full = COUNTS | {"pool_places:@nodes": 2, "pool_most:@nodes": 12}
    waits = "when an actor of a node is idle: each may have 12, and 2 more are wanted"
    assert room_of(full, "default").told() == f"3 of 3 busy, it may grow to 8 {waits}"
    assert room_of(full | {"pool_most:default": 3}, "default").told() == "3 of 3 busy"
    assert room_of(full, "dedicated-x").told() == f"an actor of its own {waits}"
    assert room_of(COUNTS, "dedicated-x").told() == "an actor of its own is on its way"
    assert pools_told(full) == {"default"}, "nobody waits in what is no pool"


def test_who_waits_for_an_actor_of_its_own_is_known_with_its_age() -> None:
    waiting = {"ready:dedicated-a": 1, "ready_age_ms:dedicated-a": 70, "ready:dedicated-b@n": 0, "ready:default": 3}
    assert waiting_alone(waiting) == {"dedicated-a": 70}


async def test_what_the_keeper_tells_is_told_on_whatever_partition_one_waits() -> None:
    backend = MemoryBackend(3)
    await backend.leases.tell_room("default", 2, 4)
    await backend.leases.tell_room("default", 3, 4)
    assert (await room_in(backend, "default")).told() == "0 of 3 busy, it may grow to 4"
    assert "pool_places:default" not in await backend.records.counts(Partition(1))
    assert (await counted(backend))["pool_most:default"] == 4
