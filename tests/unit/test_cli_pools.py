"""What `maestro pools` counts in a supervisor tree."""

from maestro.cli.status import _actors


def test_actors_are_counted_by_pool_and_state_however_deep_they_stand() -> None:
    pools = [
        {"id": "pool/default/1", "state": "running"},
        {"id": "pool/default/2", "state": "waiting to restart"},
        {"id": "pool/swarm/1", "state": "running"},
        {"id": "placer", "state": "running"},
    ]
    tree = {"id": "root", "children": [{"id": "pools", "children": pools}, {"id": "pager", "state": "running"}]}
    assert _actors(tree) == {  # type: ignore[arg-type]  # JSON
        ("default", "running"): 1,
        ("default", "waiting to restart"): 1,
        ("swarm", "running"): 1,
    }
    assert _actors({}) is None
