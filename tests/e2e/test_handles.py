"""Handles: a process of its own finds a continuation by id or name, and the Ray actor that is this continuation."""

import pytest

from maestro.client import ContinuationHandle
from tests.e2e.support import Site, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

START = """
import json, sys
from maestro import Maestro
handle = Maestro.connect().start("counter", goal="be found again", name=sys.argv[1], pool=sys.argv[2])
print(json.dumps(handle.id))
"""
FIND = """
import json, sys
import ray
from maestro import Maestro
handles = [Maestro.connect().get(text) for text in sys.argv[1:]]
actor = handles[0].actor()
print(json.dumps({
    "ids": [handle.id for handle in handles],
    "actor": ray.get(actor.ready.remote())["actor"],
    "awake": ray.get(actor.awake.remote()),
    "said": handles[0].send({"hello": "from another process"}),
}))
"""
LOOK = """
import json
from actors import cluster
from maestro.settings import Settings
from ray.util.state import list_actors, list_tasks
where = cluster.connect(Settings.load()).dashboard_url
tasks = list_tasks(address=where, filters=[("state", "=", "RUNNING")], limit=10_000)
actors = list_actors(address=where, filters=[("state", "=", "ALIVE")], limit=10_000)
print(json.dumps({"tasks": [task.name for task in tasks], "actors": [actor.name for actor in actors]}))
"""


@pytest.mark.spec("02.1")
@pytest.mark.spec("02.6")
@pytest.mark.parametrize("pool", ["default", "dedicated"])
def test_another_process_finds_it_by_id_and_by_name_after_its_starter_ended(shared_site: Site, pool: str) -> None:
    name = f"found-{pool}"
    cid = shared_site.python(START, name, pool)
    handle = shared_site.client.get(name)
    eventually(lambda: shared_site.glance(handle).rev, lambda rev: rev == 1)
    found = shared_site.python(FIND, name, cid, cid[:16])
    assert found["ids"] == [cid] * 3
    if pool == "dedicated":
        assert found["actor"] == f"continuation/{cid}"
    else:
        assert found["actor"].startswith("pool/default/")
    eventually(lambda: shared_site.state(name), lambda state: state["n"] == 1)


def test_a_dedicated_actor_ends_after_its_linger_and_is_made_anew_at_the_next_wake(shared_site: Site) -> None:
    handle = shared_site.client.get("found-dedicated")
    name = f"continuation/{handle.id}"
    eventually(lambda: shared_site.actors(name), lambda there: not there, every_s=1.0)
    rev = shared_site.glance(handle).rev
    handle.send({"wake": "up"})
    seen = eventually(lambda: shared_site.glance(handle), lambda seen: seen.rev == rev + 1)
    assert (seen.last_holder or "").partition("#")[0] == name


@pytest.mark.parametrize("pool", ["default", "dedicated"])
def test_a_long_tick_is_a_running_task_of_that_name(shared_site: Site, pool: str) -> None:
    handle = shared_site.client.get(f"found-{pool}")
    tick = shared_site.glance(handle).rev + 1
    handle.send({"sleep_ms": 8_000})
    wanted = f"counter/{handle.id} tick {tick}"
    seen = eventually(lambda: shared_site.python(LOOK), lambda seen: wanted in seen["tasks"])
    if pool == "dedicated":
        assert f"continuation/{handle.id}" in seen["actors"]
    eventually(lambda: shared_site.glance(handle).rev, lambda rev: rev == tick)


@pytest.mark.spec("02.7")
def test_every_actor_has_a_name_that_people_can_read(shared_site: Site) -> None:
    named = set(shared_site.python(LOOK)["actors"])
    pool = {f"pool/default/{place}" for place in range(1, shared_site.settings.pool_size + 1)}
    system = {"root", "supervisor/system", "supervisor/pools", "supervisor/sources", "pager", "source-keeper", "placer"}
    assert pool | system | {"timekeeper", "relay", "reaper", "projector", "pool/swarm/1"} <= named
    assert all(named)


def test_who_is_awake_where_is_told_by_show(shared_site: Site) -> None:
    handle: ContinuationHandle = shared_site.client.get("found-default")
    handle.send({"sleep_ms": 1_500})
    shown = eventually(lambda: shared_site.client.get(handle.id).status(), lambda shown: shown["actor"], every_s=0.01)
    assert (shown["activity"], shown["residency"]) == ("thinking", "resident")
    assert str(shown["actor"]).startswith("pool/default/")
    assert handle.why().startswith(f"thinking in {shown['actor']}")
