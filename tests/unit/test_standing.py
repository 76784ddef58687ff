"""What the pool keeper and the placer go by: who stands where, who waits for an actor, where a pool may stand."""

from typing import Any

from actors.pool_keeper import _busy, _ground
from actors.standing import Nodes, load_of, own_asks
from maestro.runtime.occupancy import Ask
from maestro.runtime.pooling import Ground, Member

NODES = Nodes(
    open={"n1": {"zone": "a", "gpu": "yes"}, "n2": {"zone": "b"}, "n3": {"zone": "a"}},
    left=frozenset({"n4"}),
    named={"node-1": "n1", "node-2": "n2", "node-3": "n3", "node-4": "n4"},
)


def child(child_id: str, node: str | None, state: str = "running") -> dict[str, Any]:
    return {"id": child_id, "node": node, "state": state}


def test_a_pool_may_stand_on_all_nodes_that_have_its_labels() -> None:
    assert NODES.fitting({}) == ("n1", "n2", "n3")
    assert NODES.fitting({"zone": "a"}) == ("n1", "n3")
    assert NODES.fitting({"zone": "in(a, b)", "gpu": "!yes"}) == ("n2", "n3")
    assert NODES.fitting({"zone": "c"}) == ()


def test_the_load_of_a_node_are_its_actors_of_continuations() -> None:
    children = [
        child("pool/default/1", "n1"),
        child("continuation/x", "n1"),
        child("pool/default/2", "n2"),
        child("pool/default/3", "n2", "stopped"),
        child("pool/default/4", None, "waiting to restart"),
        child("placer", "n2"),
    ]
    assert load_of(children) == {"n1": 2, "n2": 1}


def test_who_waits_for_an_actor_of_its_own_asks_for_the_node_that_it_needs() -> None:
    alone = {"dedicated-x": 5, "dedicated-y": 70, "dedicated-z@node-2": 9, "dedicated-gone@node-9": 9}
    assert own_asks(alone, [child("continuation/x", "n1")], NODES) == {
        "dedicated-y": Ask(("n1", "n2", "n3"), 70),
        "dedicated-z@node-2": Ask(("n2",), 9),
    }


def test_a_node_has_room_for_those_of_a_pool_that_it_has_and_for_what_the_cap_leaves() -> None:
    members = [Member("pool/p/1", "running", "n1"), Member("pool/p/2", "retiring", "n3")]
    assert list(_ground(("n1", "n3"), members, {"n1": 3, "n3": 5}, 4, some_left=False)) == [
        Ground("n1", others=2, room=2),
        Ground("n3", others=5, room=0),
    ]
    assert list(_ground(("n1", "n3"), members, {"n1": 3}, None, some_left=False)) == [
        Ground("n1", others=2),
        Ground("n3", others=0),
    ]
    assert _ground(("n1",), members, {"n1": 3}, None, some_left=False) == (), "one node: Ray itself chooses"


def test_busy_is_whoever_holds_somebody_under_whatever_name() -> None:
    assert _busy({"held:pool/p/1#a~2": 1, "held:continuation/x#b": 1, "held:pool/p/2#c": 0, "awake": 2}) == {
        "pool/p/1",
        "continuation/x",
    }
