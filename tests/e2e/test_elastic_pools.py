"""A pool that grows with what waits and shrinks again, an actor that is met again, a node that may have only so many.

`CROWD=1000 POOL_MOST=8 pytest tests/e2e/test_elastic_pools.py` (`make crowd`) is the long form.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from maestro.client import ContinuationHandle, run_sync
from maestro.continuation.mail import Kind, Mail
from maestro.ids import MailId
from tests.e2e.support import Site, eventually, site

QUEUE = int(os.environ.get("CROWD", "200"))
MOST = int(os.environ.get("POOL_MOST", "3"))
PATIENCE_S = 90.0 + QUEUE / 5
POOLS = {"default": {"min": 1, "max": MOST, "shrink_after_ms": 4_000}, "swarm": {"min": 0}}
CROWD = MOST + 2
BURST = 100
HOLDS_MS = 2_000 * MOST  # the last actor of the pool has come by then, also where eight start on two cores
LONG_MS = 600_000

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(500 + QUEUE)]


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    told = {"pools": json.dumps(POOLS), "max_resident": MOST, "linger_ms": LONG_MS, "behaviours": "tests.e2e.queueing"}
    with site(**told) as made:
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
    why = eventually(last.why, lambda told: f"1 of 1 busy, it may grow to {MOST}" in told, every_s=0.02)
    assert why.startswith("ready since ")
    assert "waiting for a place in pool default" in why
    seen = eventually(lambda: members(here), lambda now: len(now) >= MOST)
    assert len(seen) == MOST
    eventually(lambda: [here.state(f"crowd-{n}")["n"] for n in range(CROWD)], lambda counts: min(counts) == 1)
    assert [here.state(f"crowd-{n}")["n"] for n in range(CROWD)] == [1] * CROWD
    eventually(lambda: members(here), lambda now: len(now) == 1)
    rows = {row["pool"]: row for row in here.tell("pools")}
    assert (rows["default"]["places"], rows["default"]["most"], rows["default"]["ready"]) == (1, MOST, 0)


@pytest.mark.shows("4.8")
def test_all_of_a_crowd_are_served_oldest_first_and_each_once(here: Site, tmp_path: Path) -> None:
    queue = run_sync(_asleep(here, QUEUE))
    eventually(here.is_quiet, bool, PATIENCE_S, 0.2)
    file = tmp_path / "served"
    file.touch()
    run_sync(_woken(here, queue, str(file)))
    served = eventually(lambda: file.read_text().split(), lambda lines: len(lines) >= QUEUE, PATIENCE_S, 0.2)
    eventually(here.is_quiet, bool, PATIENCE_S, 0.2)
    place = {handle.id: number for number, handle in enumerate(queue)}
    assert sorted(served) == sorted(place), "each was served once"
    ahead = max(abs(number - place[cid]) for number, cid in enumerate(served))  # type: ignore[index]  # ids are text
    assert ahead < 2 * MOST, "nobody went before another that had waited longer, but for those under way together"
    assert {here.glance(handle).rev for handle in queue} == {2}


def test_a_node_that_has_as_many_as_it_may_passivates_the_one_idle_longest(here: Site) -> None:
    """Of MOST, the pool keeps one: what it has beyond its least makes room too."""
    eventually(lambda: members(here), lambda now: len(now) == 1)
    own = [_alone(here, f"own-{number}") for number in range(MOST - 1)]
    first, second = own[0], own[1]
    first.send({})
    eventually(lambda: here.state("own-0")["n"], lambda n: n == 1)
    assert _actors(here) == {handle.id for handle in own}
    late = _alone(here, "late")
    assert _actors(here) == {handle.id for handle in (*own, late)} - {second.id}, "it had been idle longest"
    second.send({"sleep_ms": 1})
    eventually(lambda: here.state("own-1")["n"], lambda n: n == 1)
    assert len(_actors(here)) == MOST - 1


def test_who_finds_no_room_waits_and_says_so_and_is_served_when_somebody_is_idle(here: Site) -> None:
    busy = [here.client.get(cid) for cid in sorted(_actors(here))]
    for handle in busy:
        handle.send({"sleep_ms": HOLDS_MS})
    eventually(lambda: [here.glance(handle).holder for handle in busy], all, every_s=0.02)
    waiting = next(handle for handle in _owners(here) if handle.id not in {one.id for one in busy})
    before = here.glance(waiting).rev
    waiting.send({})
    told = f"an actor of its own when an actor of a node is idle: each may have {MOST}, and 1 more are wanted"
    eventually(waiting.why, lambda said: said.endswith(told), every_s=0.05)
    assert waiting.id not in _actors(here)
    eventually(lambda: here.glance(waiting).rev, lambda rev: rev == before + 1)


def _alone(here: Site, name: str) -> ContinuationHandle:
    """One that has its own actor, and has ticked there."""
    handle = here.start("counter", "--goal", "be alone", "--pool", "dedicated", name=name)
    eventually(lambda: here.glance(handle).rev, lambda rev: rev == 1)
    return handle


def _owners(here: Site) -> list[ContinuationHandle]:
    return [here.client.get(name) for name in (*(f"own-{number}" for number in range(MOST - 1)), "late")]


def _actors(here: Site) -> set[str]:
    """Whose own actors run."""
    return {actor.removeprefix("continuation/") for actor in here.actors("continuation/")}


async def _asleep(here: Site, count: int) -> Sequence[ContinuationHandle]:
    client = here.client
    return await asyncio.gather(*(client.astart("queuer", goal="wait in line") for _ in range(count)))


async def _woken(here: Site, queue: Sequence[ContinuationHandle], file: str) -> None:
    """One after the other they have a message, none in the same millisecond: it is known who has waited longest."""
    backend, last_ms = here.client.installation.backend, 0
    for handle in queue:
        while (now_ms := await backend.clock.now_ms()) <= last_ms:
            pass
        mail = Mail(id=MailId(f"wake {handle.id}"), kind=Kind.MESSAGE, sender="a test", sent_ms=now_ms, body=file)
        await backend.store.deliver(handle.id, mail)
        last_ms = await backend.clock.now_ms()
