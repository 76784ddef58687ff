"""A store of several servers: a Redis Cluster and a Sentinel's pair lose their primary in the midst of work.

What is judged is what is judged of every chaos run; `replicated` is judged where it differs: a replica that is behind.
"""

import asyncio
import signal
from pathlib import Path

import pytest

from maestro.adapters.redis.backend import open_backend
from maestro.errors import StoreError, StoreUnavailable
from maestro.ids import Partition
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from tests.chaos.farm import (
    Farm,
    Server,
    cluster_of_six,
    cluster_url,
    primary_of,
    sentinel_url,
    until,
    watched_pair,
)
from tests.chaos.troupe import TENANT, judged, violations
from tests.stage import Stage

PARTITIONS = 6  # of which each of the three primaries has some
FAILOVER_S = 30.0


async def failed_over(made: Farm, lost: Server) -> None:
    """As soon as there are as many primaries as before."""

    def anew() -> bool:
        living = [each for each in made.servers if not each.sentinel and each is not lost]
        return sum(each.is_primary for each in living) == wanted

    wanted = sum(each.is_primary for each in made.servers if not each.sentinel and each is not lost) + 1
    lost.kill()
    await asyncio.to_thread(until, anew, FAILOVER_S, lambda: "no replica took over")


@pytest.mark.shows("9.3")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_redis_cluster_of_six_loses_a_primary_in_mid_work_and_every_promise_holds(tmp_path: Path) -> None:
    with cluster_of_six() as made:

        async def strike() -> str:
            await failed_over(made, made.servers[0])
            made.servers[0].start()  # as a replica: WAIT wants one
            return "a primary of the cluster died"

        evidence = await judged(cluster_url(made), PARTITIONS, tmp_path, strike, replicas=1)
        places = {third_of(made, number) for number in range(PARTITIONS)}
    assert len(places) == 3, "the partitions lay on all three primaries"
    assert violations(evidence) == []
    assert any(member.books.given for member in evidence.tellers if member.books), "units went from slot to slot"


def third_of(made: Farm, number: int) -> int:
    """Which third of the slots a partition lies in."""
    return int(made.servers[1].say("CLUSTER", "KEYSLOT", f"maestro:{TENANT}:{{{number}}}")) * 3 // 16_384


@pytest.mark.shows("9.3")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_sentinels_name_another_primary_in_mid_work_and_every_promise_holds(tmp_path: Path) -> None:
    with watched_pair() as made:
        made.add(
            f"replicaof 127.0.0.1 {made.servers[0].port}"
        )  # one more: WAIT wants a replica after the failover, too
        await asyncio.to_thread(until, lambda: linked(made), FAILOVER_S, lambda: "the Sentinels know of one replica")

        async def strike() -> str:
            await failed_over(made, primary_of(made))
            return "the primary died"

        evidence = await judged(sentinel_url(made), 2, tmp_path, strike, replicas=1)
    assert violations(evidence) == []


def linked(made: Farm) -> bool:
    told = next(each for each in made.servers if each.sentinel).say("SENTINEL", "REPLICAS", "store")
    return len(told) == 2


async def acknowledged(backend: Backend, stage: Stage, behind: Server) -> tuple[str, list[str]]:
    """A continuation, and the messages to it that were acknowledged while the replica slept."""
    cid = await stage.start("listener")
    born = f"maestro:{TENANT}:{{0}}:x:{cid}"
    await asyncio.to_thread(until, lambda: behind.say("EXISTS", born) == 1, FAILOVER_S, lambda: "it hears nothing")
    behind.send(signal.SIGSTOP)
    told = []
    for number in range(5):
        try:
            told.append(str(await verbs.send(stage.at, cid, {"n": number}, key=f"m{number}")))
        except StoreError:
            break
    return cid, told


@pytest.mark.shows("9.3")
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("replicas", [0, 1])
async def test_what_a_replica_had_not_heard_of_is_lost_unless_the_store_is_replicated(replicas: int) -> None:
    """The replica stops, both die, the replica comes back and takes over: `replicated` had acknowledged nothing."""
    with watched_pair() as made:
        primary, behind = made.servers[:2]
        backend = await open_backend(sentinel_url(made), TENANT, 1, replicas=replicas)
        stage = Stage(backend)
        cid, told = await acknowledged(backend, stage, behind)
        assert len(told) == (0 if replicas else 5)
        primary.kill()
        behind.kill()  # what lies in its socket unread is gone with it
        behind.start()
        await asyncio.to_thread(until, lambda: behind.is_primary, FAILOVER_S, lambda: "the replica did not take over")
        unread = await glanced(stage, cid)
        assert unread == 1, "its start, which both had"
        await backend.close()


async def glanced(stage: Stage, cid: str) -> int:
    """How much unread mail it has, as soon as the store answers again."""
    async with asyncio.timeout(FAILOVER_S):
        while True:
            try:
                return (await verbs.glance_of(stage.at, cid)).unread  # type: ignore[arg-type]
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_a_write_that_was_done_before_counts_as_done_only_when_the_replicas_have_it() -> None:
    """Asked again on a new connection it writes nothing, and WAIT alone would answer for nothing."""
    with watched_pair() as made:
        primary, behind = made.servers[:2]
        first = await open_backend(sentinel_url(made), TENANT, 1, replicas=1)
        stage = Stage(first)
        cid = await stage.start("listener")
        behind.send(signal.SIGSTOP)
        for backend in (first, await open_backend(f"redis://127.0.0.1:{primary.port}/0", TENANT, 1, replicas=1)):
            with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
                await verbs.send(Stage(backend).at, cid, {"n": 1}, key="once")
            await backend.close()
        behind.send(signal.SIGCONT)
        later = await open_backend(sentinel_url(made), TENANT, 1, replicas=1)
        again = Stage(later)
        await verbs.send(again.at, cid, {"n": 1}, key="once")
        assert (await verbs.glance_of(again.at, cid)).unread == 2, "and its start"
        assert await later.records.dead_letters(Partition(0)) == []
        await later.close()
