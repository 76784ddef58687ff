"""A pool that grows with what waits and shrinks again, and an actor that is met again while it lingers."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.support import Site, eventually, site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

MOST = 3
POOLS = {"default": {"min": 1, "max": MOST, "shrink_after_ms": 4_000}, "swarm": {"min": 0}}
CROWD = 5
BURST = 100
HOLDS_MS = 6_000


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    with site(pools=json.dumps(POOLS)) as made:
        made.up()
        yield made
        made.down()
        assert made.traces() == []


def members(here: Site) -> list[str]:
    return sorted(here.actors("pool/default/"))


@pytest.mark.spec("02.11")
def test_a_burst_meets_the_same_actor_which_reads_no_checkpoint_again(here: Site) -> None:
    handle = here.start("counter", "--goal", "be met again", name="burst")
    eventually(lambda: here.glance(handle).rev, lambda rev: rev == 1)
    before, epoch = here.counts(), here.glance(handle).epoch
    for number in range(BURST):
        handle.send({"number": number})
    eventually(lambda: here.state("burst")["n"], lambda n: n == BURST)
    after = here.counts()
    adopted, known = (after.get(n, 0) - before.get(n, 0) for n in ("adopted", "adopted_known"))
    assert adopted == here.glance(handle).epoch - epoch > 0
    assert known == adopted, "it was here when the burst began: nothing was read again"


@pytest.mark.shows("4.8")
def test_a_pool_grows_to_its_most_for_a_crowd_serves_it_and_shrinks_again(here: Site) -> None:
    assert members(here) == ["pool/default/1"]
    crowd = [here.start("counter", "--goal", "wait for a place", name=f"crowd-{n}") for n in range(CROWD)]
    eventually(lambda: [here.glance(handle).rev for handle in crowd], lambda revs: min(revs) == 1)
    for handle in crowd:
        handle.send({"sleep_ms": HOLDS_MS})
    last = crowd[-1]
    why = eventually(last.why, lambda told: "1 of 1 busy, it may grow to 3" in told, every_s=0.02)
    assert why.startswith("ready since ")
    assert "waiting for a place in pool default" in why
    seen = eventually(lambda: members(here), lambda now: len(now) >= MOST)
    assert len(seen) == MOST
    eventually(lambda: [here.state(f"crowd-{n}")["n"] for n in range(CROWD)], lambda counts: min(counts) == 1)
    assert [here.state(f"crowd-{n}")["n"] for n in range(CROWD)] == [1] * CROWD
    eventually(lambda: members(here), lambda now: len(now) == 1)
    rows = {row["pool"]: row for row in here.tell("pools")}
    assert (rows["default"]["places"], rows["default"]["most"], rows["default"]["ready"]) == (1, MOST, 0)
