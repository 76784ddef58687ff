"""Actors that must not go on as they are: overtaken in a continuation, overtaken in their place, asked to end.

Who lost a continuation drops that and commits nothing; who lost its place ends itself; who gets SIGTERM ends in order.
"""

import json
import signal
from typing import Any

import psutil
import pytest

from actors.processes import lives
from tests.e2e.support import Site, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

NOBODYS = """
import json, sys, ray
from actors import cluster
from actors.continuation import ContinuationActor
from actors.names import NAMESPACE
from maestro.settings import Settings
settings = Settings.load()
cluster.connect(settings)
options = {"name": "nobodys", "namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0}
actor = ray.remote(ContinuationActor).options(**options).remote(incarnation=sys.argv[1], settings=settings.to_json())
print(json.dumps(ray.get(actor.ready.remote())))
"""
"""A process in a place of the pool that no supervisor has started."""


def log_of(here: Site, place: str) -> list[dict[str, Any]]:
    lines = (here.settings.home / "logs" / f"{place.replace('/', '-')}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.shows("4.4")
def test_a_stale_actor_commits_nothing_and_its_attempt_is_counted(shared_site: Site) -> None:
    here = shared_site
    handle = here.start("counter", "--goal", "outlive its actor", name="stale")
    eventually(lambda: here.glance(handle).rev, lambda rev: rev == 1)
    pool = here.actors("pool/default/")
    fenced = here.counts().get("fenced", 0)

    handle.send({"sleep_ms": 3_000})
    holder = eventually(lambda: here.glance(handle).holder, bool, every_s=0.01)
    assert holder is not None
    epoch, frozen = here.glance(handle).epoch, pool[holder.partition("#")[0]]
    frozen.send_signal(signal.SIGSTOP)
    try:
        done = eventually(lambda: here.glance(handle), lambda seen: seen.rev == 2)
        assert done.last_holder is not None
        assert done.last_holder.partition("~")[0] != holder
        assert done.epoch > epoch
    finally:
        frozen.send_signal(signal.SIGCONT)

    eventually(lambda: here.counts().get("fenced", 0), lambda now: now > fenced)
    after = here.glance(handle)
    assert (after.rev, after.epoch, after.checkpoint) == (done.rev, done.epoch, done.checkpoint)
    assert [record["rev"] for record in handle.log()] == [1, 2]
    assert here.state("stale")["n"] == 1
    here.run("verify", handle.id)
    told = [line for line in log_of(here, holder.partition("#")[0]) if line["event"] == "fenced"]
    assert [line["epoch"] for line in told if line["continuation"] == handle.id] == [epoch]


def test_the_stale_actor_has_its_place_still_and_is_good_for_further_work(shared_site: Site) -> None:
    here = shared_site
    handle = here.client.get("stale")
    for number in range(2, 12):
        handle.send({"number": number})
        eventually(lambda: here.state("stale")["n"], lambda n: n == number)  # noqa: B023 - called before the next one
    assert len(here.actors("pool/default/")) == here.settings.pool_size


def test_f27_of_two_processes_in_one_place_the_earlier_ends_itself_whoever_has_started_it(shared_site: Site) -> None:
    here = shared_site
    place, supervised = min(here.actors("pool/default/").items())
    nobodys = here.python(NOBODYS, f"{place}#nobodys")
    eventually(lambda: lives(supervised), lambda alive: not alive)
    successor = eventually(lambda: here.actors(place).get(place), lambda now: now is not None and now != supervised)
    assert successor is not None
    eventually(lambda: psutil.pid_exists(nobodys["pid"]), lambda there: not there)
    assert lives(successor)
    dying = [line for line in log_of(here, place) if line["event"] == "dying"]
    assert [line["reason"] for line in dying[-2:]] == ["a later process is in its place"] * 2
    handle = here.client.get("stale")
    before = here.state("stale")["n"]
    handle.send({"number": before + 1})
    eventually(lambda: here.state("stale")["n"], lambda n: n == before + 1)


def test_sigterm_is_no_crash_the_tick_ends_and_another_comes_into_the_place(shared_site: Site) -> None:
    here = shared_site
    handle = here.start("counter", "--goal", "outlive its actor in order", name="asked")
    eventually(lambda: here.glance(handle).rev, lambda rev: rev == 1)
    reclaimed, fenced = (here.counts().get(name, 0) for name in ("reclaimed", "fenced"))
    pool = here.actors("pool/default/")
    handle.send({"sleep_ms": 3_000})
    holder = eventually(lambda: here.glance(handle).holder, bool, every_s=0.01)
    assert holder is not None
    epoch, place = here.glance(handle).epoch, holder.partition("#")[0]
    pool[place].terminate()
    eventually(lambda: lives(pool[place]), lambda alive: not alive)
    after = eventually(lambda: here.glance(handle), lambda seen: seen.rev == 2)
    assert (after.epoch, after.tries, here.state("asked")["n"]) == (epoch, 0, 1), "its own tick ended, once"
    assert tuple(here.counts().get(name, 0) for name in ("reclaimed", "fenced")) == (reclaimed, fenced)
    eventually(lambda: len(here.actors("pool/default/")), lambda count: count == here.settings.pool_size)
    ended = [line for line in log_of(here, "supervisor/pools") if line["event"] == "child ended"]
    assert (ended[-1]["child"], ended[-1]["reason"]) == (place, "normal")
