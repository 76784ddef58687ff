"""What the node keeper makes of a tree and of the nodes that Ray shows: values only, no cluster."""

from typing import Any

from actors.node_keeper import Worker, census, left_nodes, workers_of
from maestro.ids import TimeMs
from maestro.runtime.nodes import Drain

TREE: dict[str, Any] = {
    "id": "root",
    "children": [
        {"id": "pager", "type": "worker", "state": "running", "node": "aa"},
        {"id": "herald", "type": "worker", "state": "stopped", "node": None},
        {
            "id": "pools", "type": "supervisor", "state": "running", "node": "aa",
            "children": [
                {"id": "pool/default/1", "type": "worker", "state": "running", "node": "bb"},
                {"id": "pool/default/2", "type": "worker", "state": "waiting to restart", "node": None},
                {"id": "placer", "type": "worker", "state": "running", "node": "bb"},
            ],
        },
        {"id": "sources", "type": "supervisor", "state": "running", "node": "bb",
         "children": [{"id": "?", "state": "unknown", "error": "sources does not answer: TimeoutError"}]},
    ],
}  # fmt: skip


def node(name: str, id_: str, alive: bool = True) -> dict[str, Any]:
    return {"NodeName": name, "NodeID": id_, "Alive": alive, "Labels": {"zone": "private"}}


def test_workers_are_those_that_run_each_with_who_supervises_it() -> None:
    assert list(workers_of(TREE)) == [
        Worker("pager", "aa", "root"),
        Worker("pool/default/1", "bb", "supervisor/pools"),
        Worker("placer", "bb", "supervisor/pools"),
    ]


def test_a_census_names_each_node_once_the_living_before_the_dead_with_its_actors_and_why_it_is_left() -> None:
    nodes = [
        node("node-2", "old", alive=False),
        node("node-1", "aa"),
        node("node-2", "bb"),
        node("node-3", "cc", False),
    ]
    seen = census(nodes, {"node-2": Drain("ann", "its fan", TimeMs(1))}, list(workers_of(TREE)))
    assert [(one.name, one.id, one.alive, one.leaving, one.actors) for one in seen] == [
        ("node-1", "aa", True, None, ()),
        ("node-2", "bb", True, "drained by ann: its fan", ("pool/default/1",)),
        ("node-3", "cc", False, None, ()),
    ]
    assert left_nodes(seen) == {"bb"}


def test_where_no_other_node_takes_work_everybody_stays() -> None:
    drain = Drain("Ray", "", TimeMs(1))
    seen = census([node("node-1", "aa"), node("node-2", "bb", alive=False)], {"node-1": drain, "node-2": drain}, [])
    assert left_nodes(seen) == frozenset()
