"""Who finds room on a node and who makes it, over any crowd of actors."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from maestro.runtime.occupancy import Ask, Occupant, least_loaded, passivated, seat

NODES = ("x", "y", "z")


def crowds() -> st.SearchStrategy[list[Occupant]]:
    idle_ms = st.none() | st.integers(0, 9)
    one = st.builds(Occupant, st.just("?"), st.sampled_from(NODES), idle_ms, st.booleans(), st.booleans())
    return st.lists(one, max_size=24).map(
        lambda drawn: [replace(each, id=f"a{number:02}") for number, each in enumerate(drawn)]
    )


def asks() -> st.SearchStrategy[list[Ask]]:
    nodes = st.lists(st.sampled_from(NODES), min_size=1, unique=True).map(tuple)
    return st.lists(st.builds(Ask, nodes, st.integers(0, 9_000)), max_size=6)


def load_of(crowd: list[Occupant]) -> Counter[str]:
    return Counter(each.node for each in crowd)


@given(crowds(), asks(), st.integers(1, 9))
def test_only_idle_ones_that_are_spare_end_and_each_once(crowd: list[Occupant], lacking: list[Ask], cap: int) -> None:
    ended = passivated(crowd, lacking, cap)
    by_id = {each.id: each for each in crowd}
    assert len(set(ended)) == len(ended)
    assert all(by_id[each].idle_ms is not None and by_id[each].spare for each in ended)
    assert not any(by_id[each].leaving for each in ended)


@given(crowds(), asks(), st.integers(1, 9))
def test_no_more_end_than_are_too_many_or_wanted(crowd: list[Occupant], lacking: list[Ask], cap: int) -> None:
    beyond = sum(max(0, count - cap) for count in load_of(crowd).values())
    assert len(passivated(crowd, lacking, cap)) <= beyond + len(lacking)


@given(crowds(), st.integers(1, 9))
def test_beyond_the_cap_the_idlest_end_and_then_nobody_more(crowd: list[Occupant], cap: int) -> None:
    ended = set(passivated(crowd, [], cap))
    for node in NODES:
        may = [
            each for each in crowd if each.node == node and each.spare and not each.leaving and each.idle_ms is not None
        ]
        gone = [each for each in may if each.id in ended]
        staying = sum(each.node == node and not each.leaving for each in crowd) - len(gone)
        assert staying <= cap or len(gone) == len(may), "as many as it takes, where there are so many"
        assert all((a.idle_ms or 0) >= (b.idle_ms or 0) for a in gone for b in may if b.id not in ended)
    left = [each for each in crowd if each.id not in ended]
    assert passivated(left, [], cap) == ()


@given(asks(), st.dictionaries(st.sampled_from(NODES), st.integers(0, 5)), st.integers(1, 5))
def test_whoever_has_waited_longest_is_seated_first_and_no_node_beyond_its_cap(
    asked: list[Ask], load: dict[str, int], cap: int
) -> None:
    lacking, after = seat(load, asked, cap)
    assert sum(after.values()) == sum(load.values()) + len(asked) - len(lacking)
    assert all(after[node] <= max(cap, load.get(node, 0)) for node in after)
    for ask in lacking:
        assert all(after.get(node, 0) >= cap for node in ask.nodes)


def test_the_oldest_gets_the_last_place() -> None:
    late, early = Ask(("x",), 5), Ask(("x", "y"), 900)
    assert seat({"x": 1, "y": 2}, [late, early], 2) == ([late], {"x": 2, "y": 2})


def test_without_a_cap_the_least_loaded_is_taken() -> None:
    assert least_loaded({"x": 3, "y": 1}, NODES, None) == "z"
    assert least_loaded({"x": 3, "y": 1, "z": 2}, ("x", "z"), 3) == "z"
    assert least_loaded({"x": 3, "y": 1, "z": 2}, NODES, 1) is None


def test_one_that_is_leaving_makes_room_for_one_who_waits_and_nobody_else_ends_for_him() -> None:
    crowd = [Occupant("a", "x", None, leaving=True), Occupant("b", "x", 500), Occupant("c", "x", 900)]
    assert passivated(crowd, [Ask(("x",))], 3) == ()
    assert passivated(crowd, [Ask(("x",)), Ask(("x",))], 3) == ("c",)
    assert passivated(crowd, [Ask(("y",))], 3) == ()
