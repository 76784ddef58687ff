"""What the gauges count in a supervisor tree."""

from typing import Any

from actors.gauges import pool_actors, restarts_below

TREE: dict[str, Any] = {
    "id": "root",
    "children": [
        {
            "id": "pools",
            "restarts": 1,
            "children": [
                {"id": "pool/default/1", "state": "running", "restarts": 2},
                {"id": "pool/default/2", "state": "waiting to restart", "restarts": 3},
                {"id": "pool/swarm/1", "state": "running", "restarts": 0},
                {"id": "placer", "state": "running"},
            ],
        },
        {"id": "pager", "state": "running", "restarts": 4},
    ],
}


def test_actors_are_counted_by_pool_and_state() -> None:
    counted = {("default", "running"): 1, ("default", "waiting to restart"): 1, ("swarm", "running"): 1}
    assert pool_actors(TREE) == counted


def test_restarts_are_counted_by_the_supervisor_that_made_them() -> None:
    assert restarts_below(TREE) == {"root": 5, "pools": 5}
