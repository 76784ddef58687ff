"""How many actors a pool has and where, over any course of load, deaths and nodes."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maestro.runtime.pooling import (
    GROW_AFTER_MS,
    MOVES_AT_ONCE,
    Demand,
    Ground,
    Member,
    Move,
    Pool,
    Size,
    first,
    plan,
    wanted,
)

LOOK_MS = 1_000
IDLE = Demand(0, 0, 0)


def demands() -> st.SearchStrategy[list[Demand]]:
    one = st.builds(Demand, st.integers(0, 40), st.integers(0, 5_000), st.integers(0, 20))
    return st.lists(one, max_size=80)


def pools() -> st.SearchStrategy[Pool]:
    bounds = st.tuples(st.integers(0, 6), st.integers(0, 12))
    return st.builds(
        lambda b, slots, after: Pool(min=b[0], max=max(1, b[0] + b[1]), slots=slots, shrink_after_ms=after),
        bounds,
        st.integers(1, 4),
        st.sampled_from((1_000, 5_000, 20_000)),
    )


def course(pool: Pool, demanded: list[Demand]) -> list[Size]:
    sizes = [first(pool, 0)]
    for look, demand in enumerate(demanded, start=1):
        sizes.append(wanted(pool, sizes[-1], demand, look * LOOK_MS))
    return sizes


@given(pools(), demands())
def test_it_is_never_below_its_least_nor_above_its_most(pool: Pool, demanded: list[Demand]) -> None:
    assert all(pool.min <= size.wanted <= pool.most for size in course(pool, demanded))


@given(pools(), demands())
def test_nothing_shrinks_sooner_than_it_may_after_it_grew(pool: Pool, demanded: list[Demand]) -> None:
    sizes = course(pool, demanded)
    grew_ms = 0
    for look, (before, after) in enumerate(pairwise(sizes), start=1):
        if after.wanted > before.wanted:
            grew_ms = look * LOOK_MS
        if after.wanted < before.wanted:
            assert look * LOOK_MS - grew_ms >= pool.shrink_after_ms


@given(pools(), st.integers(0, 40), st.integers(0, 40))
def test_a_load_that_stays_moves_it_at_most_once_each_way(pool: Pool, before: int, load: int) -> None:
    """What is needed does not change with the size: whoever has no place waits, and is counted all the same."""
    size, moves = Size(min(pool.most, max(pool.min, before))), []
    for look in range(1, 120):
        places = size.wanted * pool.slots
        demand = Demand(max(0, load - places), 2 * GROW_AFTER_MS, min(load, places))
        after = wanted(pool, size, demand, look * LOOK_MS)
        moves += [after.wanted - size.wanted] if after.wanted != size.wanted else []
        size = after
    assert len(moves) <= 1
    assert size.wanted == min(pool.most, max(pool.min, -(-load // pool.slots)))


@given(pools(), st.integers(1, 30))
def test_a_load_that_comes_and_goes_within_its_patience_finds_it_large_enough(pool: Pool, load: int) -> None:
    size, grown = first(pool, 0), 0
    for look in range(1, 200):
        places = size.wanted * pool.slots
        busy = (look * LOOK_MS) % pool.shrink_after_ms < LOOK_MS  # once in each stretch
        demand = Demand(max(0, load - places), 2 * GROW_AFTER_MS, min(load, places)) if busy else IDLE
        after = wanted(pool, size, demand, look * LOOK_MS)
        assert after.wanted >= size.wanted, "no flapping"
        grown += after.wanted > size.wanted
        size = after
    assert grown <= 1


def test_it_shrinks_to_what_its_last_stretch_needed_at_most_and_not_to_what_it_needs_now() -> None:
    pool, size = Pool(min=1, max=8, shrink_after_ms=5_000), Size(8)
    for second in range(1, 6):
        size = wanted(pool, size, Demand(0, 0, 5 if second == 2 else 0), second * 1_000)
    assert size.wanted == 5
    for second in range(6, 11):
        size = wanted(pool, size, IDLE, second * 1_000)
    assert size.wanted == 1


def test_nobody_who_has_waited_a_moment_only_makes_it_grow() -> None:
    pool = Pool(min=1, max=8)
    assert wanted(pool, Size(1), Demand(7, GROW_AFTER_MS - 1, 1), 0).wanted == 1
    assert wanted(pool, Size(1), Demand(7, GROW_AFTER_MS, 1), 0).wanted == 8
    assert wanted(pool, Size(1), Demand(70, GROW_AFTER_MS, 1), 0).wanted == 8


def test_where_there_is_room_it_does_not_grow_however_long_somebody_waits() -> None:
    """Its actors are on their way back after a death: more of them would not serve anybody sooner."""
    assert wanted(Pool(min=4, max=8), Size(4), Demand(3, 60_000, 1), 0).wanted == 4


def test_an_empty_pool_grows_for_the_first_that_waits() -> None:
    pool = Pool(min=0, max=2, slots=4)
    assert wanted(pool, first(pool, 0), Demand(1, GROW_AFTER_MS, 0), 5_000).wanted == 1


# ------------------------------------------------------------------------------------------------ where


def ground(nodes: str | list[str]) -> list[Ground]:
    return [Ground(node) for node in nodes]


def settled(name: str, count: int, members: list[Member], ground: list[Ground], looks: int = 60) -> list[Member]:
    """The members after so many looks, each of which was carried out."""
    for _ in range(looks):
        moves = plan(name, count, members, ground)
        assert len(moves) <= MOVES_AT_ONCE
        for move in moves:
            if move.act == "start":
                members = [*members, Member(move.id, "running", move.node or "anywhere")]
            else:
                left = [member for member in members if member.id != move.id]
                gone = next(member for member in members if member.id == move.id)
                members = [*left, replace(gone, state="stopped")] if move.act == "retire" else left
        assert len({member.id for member in members}) == len(members), "a name is given once"
    return members


@given(
    st.integers(0, 12),
    st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 2)), max_size=10),
    st.lists(st.sampled_from("wxyz"), unique=True, max_size=4),
)
def test_whatever_there_was_they_end_up_evenly_on_the_nodes_that_may_have_them(
    count: int, had: list[tuple[str, int]], nodes: list[str]
) -> None:
    members = [Member(f"pool/p/{n}", "running", node, awake) for n, (node, awake) in enumerate(had, start=1)]
    members = settled("p", count, members, ground(nodes))
    assert len(members) == count
    if nodes:
        held = [sum(member.node == node for member in members) for node in nodes]
        assert sum(held) == count
        assert max(held) - min(held) <= 1
    assert plan("p", count, members, ground(nodes)) == (), "and then nothing moves any more"


def test_the_idle_go_first() -> None:
    members = [Member("pool/p/1", "running", "x", 0), Member("pool/p/2", "running", "x", 1)]
    assert plan("p", 1, members, []) == (Move("retire", "pool/p/1"),)
    assert plan("p", 1, members, ground("x")) == (Move("retire", "pool/p/1"),)


def test_who_retires_is_not_counted_and_not_asked_twice() -> None:
    members = [Member("pool/p/1", "retiring", "x", 1), Member("pool/p/2", "running", "x", 1)]
    assert plan("p", 1, members, ground("x")) == ()
    assert plan("p", 2, members, ground("x")) == (Move("start", "pool/p/3", "x"),)


def test_who_is_on_its_way_up_is_waited_for() -> None:
    members = [Member("pool/p/1", "waiting to restart")]
    assert plan("p", 1, members, ground("xy")) == ()


def test_all_of_a_node_that_may_have_none_retire_and_the_others_take_their_place() -> None:
    members = [Member(f"pool/p/{n}", "running", "xy"[n % 2]) for n in range(4)]
    moves = plan("p", 4, members, ground("y"))
    assert {move.id for move in moves} == {"pool/p/0", "pool/p/2"}
    assert {move.act for move in moves} == {"retire"}
    after = settled("p", 4, members, ground("y"))
    assert [member.node for member in after] == ["y"] * 4


@given(
    st.integers(0, 12),
    st.lists(st.sampled_from("wxyz"), max_size=8),
    st.dictionaries(st.sampled_from("wxyz"), st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1),
)
def test_no_node_is_given_more_than_it_has_room_for_and_what_there_is_room_for_is_there(
    count: int, had: list[str], nodes: dict[str, tuple[int, int]]
) -> None:
    """A node has room for those that it has, whoever came after them."""
    stood = Counter(had)
    room = {node: stood[node] + free for node, (_, free) in nodes.items()}
    where = [Ground(node, others, room[node]) for node, (others, _) in nodes.items()]
    members = settled("p", count, [Member(f"pool/p/{n}", "running", node) for n, node in enumerate(had)], where)
    held = Counter(member.node for member in members if member.state == "running")
    assert sum(held.values()) == min(count, sum(room.values()))
    assert all(held[node] <= room.get(str(node), 0) for node in held)
    assert plan("p", count, members, where) == ()


def test_what_is_left_over_goes_to_the_least_loaded_and_stays_where_it_is() -> None:
    busy_first = [Ground("x", others=5), Ground("y", others=1), Ground("z", others=3)]
    assert plan("p", 1, [], busy_first) == (Move("start", "pool/p/1", "y"),)
    assert [move.node for move in plan("p", 2, [], busy_first)] == ["y", "z"]
    assert plan("p", 1, [Member("pool/p/1", "running", "x")], busy_first) == ()


def test_a_most_below_the_least_is_refused() -> None:
    with pytest.raises(ValidationError, match="max 2 is below min 3: raise max, or leave it out for a fixed size"):
        Pool(min=3, max=2)
